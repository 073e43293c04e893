"""Filing sealed records, each for one of two reasons, and no other.

1. A statement that counts names the digest of its line: then the line is what the signer read
   strictly, wherever it lies in its project. The step is signed.
2. Its segment has the seal of this service: then it was finished and never signed. It is read
   as strictly as a stranger's, and goes on the signer's queue; unless a refusal is about it, or
   a statement by an unknown key, or another record of its step counts already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import EvidenceError, InvalidInputError
from artifacts.limits import MAX_BATCH
from artifacts.named_keys import Named
from artifacts.queries.reindexing import Filed
from artifacts.queries.sealing import Place
from artifacts.record_codec import decode
from artifacts.record_rows import Members, members_of, moment
from artifacts.refusals import Refusal
from artifacts.steps import StepState
from provenance.reindex.reading import Lying
from provenance.reindex.report import Doubted, Report
from provenance.reindex.statements import Evidence, Seen

Refusals = Mapping[bytes, tuple[Refusal, int]]
"""By the digest of the record they are about, with their times."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment gives: records that are signed, others that are sealed, and what is left out."""

    signed: list[Filed]
    unsigned: list[Filed]
    doubted: list[Doubted]


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides which lines of segments are records."""

    evidence: Evidence
    refusals: Refusals

    async def segment(self, named: Named, one: Lying, *, sealed: bool) -> Segment:
        """Look at every line of a segment, off the loop; `sealed` says whether its name has a seal."""
        return await asyncio.to_thread(self._segment, named, one, sealed)

    def _segment(self, named: Named, one: Lying, sealed: bool) -> Segment:
        found = Segment([], [], [])
        intact = Digest.of(one.content) == named.digest
        if not intact:
            found.doubted.append(
                Doubted(str(one.key), "the segment was changed: only records that are signed count")
            )
        for start, line in _lines(one.content):
            try:
                place = Place(one.key, start, len(line), Digest.of(line))
                seen = self.evidence.by_record.get(place.digest.raw)
                if seen:
                    filed = _signed(named, one, place, seen, members_of(line))
                    found.signed.append(filed)
                    found.doubted.extend(_seconds(filed, seen))
                else:
                    _check_vouched(intact and sealed)
                    found.unsigned.append(self._unsigned(named, one, place, line))
            except (EvidenceError, InvalidInputError) as error:
                found.doubted.append(Doubted(f"{one.key}#{start}", error.message))
        return found

    def _unsigned(self, named: Named, one: Lying, place: Place, line: bytes) -> Filed:
        decode(line)
        members = members_of(line)
        _check_place(named, members)
        sealed_at = max(one.changed_at, moment(members["finished_at"]))
        refusal, refused_at = self.refusals.get(place.digest.raw, (None, None))
        if refusal is not None and (refusal.project, refusal.step) == (named.project, members["step"]):
            reason, state = refusal.reason, StepState.REFUSED
            return Filed(members, place, _before(sealed_at, refused_at), (), state, reason, refused_at)
        held = "a statement by an unknown key is about it" if self._held(place) else None
        return Filed(members, place, sealed_at, reason=held)

    def _held(self, place: Place) -> bool:
        return place.digest.raw in self.evidence.claimed


def _check_vouched(sealed: bool) -> None:
    if not sealed:
        raise EvidenceError("nobody signed the record, and no seal vouches for it")


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a segment and where they begin; beyond as many as one has, all the rest is one."""
    start = 0
    for line in content.split(b"\n", MAX_BATCH):
        if line:
            yield start, line
        start += len(line) + 1


def _signed(named: Named, one: Lying, place: Place, seen: list[Seen], members: Members) -> Filed:
    _check_place(named, members)
    finished_at = moment(members["finished_at"])
    if any(statement.step != members["step"] for statement in seen):
        raise EvidenceError("its statement is about another step")
    # What was signed was finished before: a copied bucket says when it was copied.
    stated = {
        statement.stated.builder_id: statement.stated
        for statement in sorted(seen, key=lambda each: (-each.stated.signed_at, each.stated.digest))
    }
    in_order = tuple(each.not_before(finished_at) for each in stated.values())
    signed_at = max(each.signed_at for each in in_order)
    sealed_at = _before(max(one.changed_at, finished_at), signed_at)
    return Filed(members, place, sealed_at, in_order, StepState.SIGNED)


def _before(sealed_at: int, ended_at: int | None) -> int:
    """A copied segment says when it was copied; what it holds was sealed before it was signed or refused."""
    return sealed_at if ended_at is None else min(sealed_at, ended_at)


def _seconds(filed: Filed, seen: list[Seen]) -> Iterator[Doubted]:
    """Statements that are not needed: one of the same builder about the same record is older."""
    chosen = {stated.digest for stated in filed.statements}
    for other in seen:
        if other.stated.digest not in chosen:
            key = layout.attestation(Digest.sha256(other.stated.digest))
            yield Doubted(str(key), "another statement of its builder about the same record is older")


def _check_place(named: Named, members: Members) -> None:
    if members["project"] != named.project:
        raise EvidenceError("the record is of another project")


def by_project(records: Iterable[Filed]) -> dict[str, set[str]]:
    """The steps that `records` are of, by project."""
    steps: dict[str, set[str]] = {}
    for one in records:
        steps.setdefault(one.members["project"], set()).add(one.members["step"])
    return steps


def consistent(records: Sequence[Filed], report: Report) -> list[Filed]:
    """Each record once; of two that contradict each other neither, for nobody can say which is the step's."""
    first: dict[tuple[str, str], Filed] = {}
    torn: set[tuple[str, str]] = set()
    for one in records:
        name = (one.members["project"], one.members["step"])
        if first.setdefault(name, one).place.digest != one.place.digest:
            torn.add(name)
            report.doubt(f"{one.place.segment}#{one.place.start}", "two records are of one step")
    for name in torn:
        place = first.pop(name).place
        report.doubt(f"{place.segment}#{place.start}", "two records are of one step")
    return list(first.values())
