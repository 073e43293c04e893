"""What answers carry; the other half of `docs/http.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from api.prefix import below
from artifacts.clock import from_milliseconds, written
from artifacts.digest import Digest
from artifacts.queries.artifact_pages import MOST, ArtifactPage
from artifacts.queries.attestations import AttestationRow
from artifacts.queries.lineage import TracedRef
from artifacts.queries.lookups import Involved, Named
from artifacts.queries.removals import Removed
from artifacts.queries.steps import LedgerRow, StepRow
from artifacts.steps import Run
from artifacts.trees.members import Member
from provenance.lineage import TracedLevel


class Answer(BaseModel):
    """The base: members that are None are left out when written."""

    model_config = ConfigDict(frozen=True)


def moment(value: int) -> str:
    """A time of the index in its written form."""
    return written(from_milliseconds(value))


class RunAnswer(Answer):
    """A run."""

    id: str
    name: str
    project: str
    began_at: str

    @classmethod
    def of(cls, run: Run) -> RunAnswer:
        """Describe `run`."""
        return cls(id=run.id, name=run.name, project=run.project, began_at=written(run.began_at))


class AttestationAnswer(Answer):
    """A signed statement, and where its bundle is."""

    digest: str
    predicate_type: str
    builder_id: str
    keyid: str
    step: str
    url: str

    @classmethod
    def of(cls, row: AttestationRow) -> AttestationAnswer:
        """Describe `row`."""
        return cls(
            digest=str(row.digest),
            predicate_type=row.predicate_type,
            builder_id=row.builder_id,
            keyid=row.keyid,
            step=row.step,
            url=below(f"/v1/attestations/{row.digest}"),
        )


class AttestationsAnswer(Answer):
    """Signed statements."""

    attestations: list[AttestationAnswer]

    @classmethod
    def of(cls, rows: Iterable[AttestationRow]) -> AttestationsAnswer:
        """Describe `rows`."""
        return cls(attestations=[AttestationAnswer.of(row) for row in rows])


class LedgerAnswer(Answer):
    """A state a step has entered."""

    state: str
    at: str
    reason: str | None = None


class StepAnswer(Answer):
    """A step, and how far its evidence has come."""

    id: str
    run: str
    name: str
    project: str
    state: str
    outcome: str | None = None
    began_at: str
    finished_at: str | None = None
    expires_at: str
    record: str | None = None
    attestations: list[AttestationAnswer]
    ledger: list[LedgerAnswer]

    @classmethod
    def of(cls, row: StepRow, signed: Sequence[AttestationRow], ledger: Sequence[LedgerRow]) -> StepAnswer:
        """Describe `row`."""
        return cls(
            id=row.id,
            run=row.run,
            name=row.name,
            project=row.project,
            state=row.state,
            outcome=row.outcome,
            began_at=moment(row.began_at),
            finished_at=None if row.finished_at is None else moment(row.finished_at),
            expires_at=moment(row.expires_at),
            record=None if row.record_digest is None else str(Digest.sha256(row.record_digest)),
            attestations=AttestationsAnswer.of(signed).attestations,
            ledger=[LedgerAnswer(state=one.state, at=moment(one.at), reason=one.reason) for one in ledger],
        )


class CountedAnswer(Answer):
    """How many references were new, and how many stood already."""

    recorded: int
    known: int


class OutputAnswer(Answer):
    """An output whose bytes are stored."""

    name: str
    digest: dict[str, str]
    size: int


class BlobAnswer(Answer):
    """Bytes that are stored."""

    digest: str
    size: int


class MissingAnswer(Answer):
    """Digests whose bytes this project has not proven."""

    missing: list[str]


class MemberAnswer(Answer):
    """A place of a content in a tree."""

    tree: str
    path: str

    @classmethod
    def of(cls, member: Member) -> MemberAnswer:
        """Describe `member`."""
        return cls(tree=str(member.tree), path=member.path)


class NamedAnswer(Answer):
    """An artifact under one of its names."""

    digest: str
    uri: str | None = None
    name: str | None = None
    recorded_at: str

    @classmethod
    def of(cls, named: Named) -> NamedAnswer:
        """Describe `named`."""
        return cls(
            digest=str(named.digest),
            uri=named.uri or None,
            name=named.name or None,
            recorded_at=moment(named.recorded_at),
        )


class ArtifactsAnswer(Answer):
    """A page of artifacts."""

    artifacts: list[NamedAnswer]


class InvolvedAnswer(Answer):
    """A step that made or used an artifact."""

    id: str
    run: str
    name: str
    outcome: str | None = None
    state: str
    role: str
    output_name: str | None = None
    finished_at: str | None = None

    @classmethod
    def of(cls, step: Involved) -> InvolvedAnswer:
        """Describe `step`."""
        return cls(
            id=step.id,
            run=step.run,
            name=step.name,
            outcome=step.outcome,
            state=step.state,
            role=step.role,
            output_name=step.output_name,
            finished_at=None if step.finished_at is None else moment(step.finished_at),
        )


class RemovedAnswer(Answer):
    """Bytes of an artifact that were removed."""

    kind: str
    state: str
    reason: str
    detail: str | None = None
    barred: bool
    at: str

    @classmethod
    def of(cls, one: Removed) -> RemovedAnswer:
        """Describe `one`."""
        return cls(
            kind=one.kind,
            state=one.state.value,
            reason=one.reason,
            detail=one.detail,
            barred=one.barred,
            at=moment(one.at),
        )


class ArtifactAnswer(Answer):
    """Everything recorded of one artifact."""

    digest: str
    aliases: dict[str, str]
    size: int | None = None
    stored: bool
    references: list[NamedAnswer]
    produced_by: list[InvolvedAnswer]
    consumed_by: list[InvolvedAnswer]
    attestations: list[AttestationAnswer]
    member_of: list[MemberAnswer]
    removed: list[RemovedAnswer] | None = None
    truncated: list[str] | None = None

    @classmethod
    def of(
        cls,
        page: ArtifactPage,
        *,
        size: int | None,
        members: Iterable[Member],
        removed: Iterable[Removed] = (),
    ) -> ArtifactAnswer:
        """Describe `page`; `truncated` names the lists that are not shown whole."""
        lists: dict[str, Sequence[object]] = {
            "references": page.names,
            "produced_by": page.made,
            "consumed_by": page.used,
            "attestations": page.signed,
        }
        return cls(
            digest=str(page.digest),
            aliases=page.aliases.to_wire(),
            size=size,
            stored=page.size is not None,
            references=[NamedAnswer.of(one) for one in page.names[:MOST]],
            produced_by=[InvolvedAnswer.of(one) for one in page.made[:MOST]],
            consumed_by=[InvolvedAnswer.of(one) for one in page.used[:MOST]],
            attestations=AttestationsAnswer.of(page.signed[:MOST]).attestations,
            member_of=[MemberAnswer.of(one) for one in members],
            removed=[RemovedAnswer.of(one) for one in removed] or None,
            truncated=[name for name, entries in lists.items() if len(entries) > MOST] or None,
        )


class ReferenceAnswer(Answer):
    """A reference that was recorded."""

    digest: str
    uri: str | None = None
    name: str | None = None


class TracedRefAnswer(Answer):
    """An artifact met while tracing."""

    digest: str
    uri: str | None = None
    name: str | None = None

    @classmethod
    def of(cls, ref: TracedRef) -> TracedRefAnswer:
        """Describe `ref`."""
        return cls(digest=str(ref.digest), uri=ref.uri or None, name=ref.name or None)


class TracedStepAnswer(Answer):
    """A step met while tracing."""

    id: str
    run: str
    name: str
    outcome: str | None = None
    level: int
    inputs: list[TracedRefAnswer]
    outputs: list[TracedRefAnswer]
    attestations: list[AttestationAnswer]

    @classmethod
    def of(cls, traced: TracedLevel) -> TracedStepAnswer:
        """Describe `traced`."""
        return cls(
            id=traced.step.id,
            run=traced.step.run,
            name=traced.step.name,
            outcome=traced.step.outcome,
            level=traced.level,
            inputs=[TracedRefAnswer.of(ref) for ref in traced.inputs],
            outputs=[TracedRefAnswer.of(ref) for ref in traced.outputs],
            attestations=AttestationsAnswer.of(traced.attestations).attestations,
        )


class LineageAnswer(Answer):
    """The steps around an artifact, nearest first."""

    root: str
    direction: str
    steps: list[TracedStepAnswer]
    truncated: bool
