"""Provenance of a step that succeeded: a pure function of its record.

`docs/formats.md` (Statements) has the mapping. The same record always gives the same
statement, in the same order, so that stating and signing again writes the same object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NotRequired, TypeAlias, TypedDict

from artifacts.clock import written
from artifacts.digest import Digest
from artifacts.errors import EvidenceError
from artifacts.records import Product, Record, Reported
from artifacts.refs import ArtifactRef, Evidence, Scalar
from artifacts.steps import Outcome
from provenance.predicate import PROVENANCE_V1
from provenance.statement import STATEMENT_V1

BUILD_TYPE: Final = "/buildtypes/step/v1"
# All consumers read these two; sigstore-python refuses a subject with any git digest.
_SUBJECT_ALGORITHMS: Final = frozenset({"sha256", "sha512"})


class Descriptor(TypedDict):
    """An in-toto ResourceDescriptor as we write it."""

    digest: dict[str, str]
    name: NotRequired[str]
    uri: NotRequired[str]
    mediaType: NotRequired[str]
    annotations: NotRequired[Mapping[str, Scalar]]


class BuildDefinition(TypedDict):
    """What was asked for, and what it used."""

    buildType: str
    externalParameters: dict[str, object]
    internalParameters: NotRequired[dict[str, object]]
    resolvedDependencies: NotRequired[list[Descriptor]]


class RunDetails(TypedDict):
    """Who ran it, when, and what else came out."""

    builder: dict[str, str]
    metadata: dict[str, object]
    byproducts: NotRequired[list[Descriptor]]


class Predicate(TypedDict):
    """SLSA Provenance v1."""

    buildDefinition: BuildDefinition
    runDetails: RunDetails


class ProvenanceStatement(TypedDict):
    """An in-toto statement with SLSA provenance, as we write it."""

    _type: str
    subject: list[Descriptor]
    predicateType: str
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class ClaimLabels:
    """How far the three claims of one reference are proven; by default nothing is.

    Share an instance between references with equal labels: its annotations are made once.
    """

    integrity: Evidence = Evidence.REPORTED
    origin: Evidence = Evidence.REPORTED
    role: Evidence = Evidence.REPORTED
    plain: dict[str, Scalar] = field(init=False, compare=False, repr=False)
    """The annotations of a reference without a URI."""
    located: dict[str, Scalar] = field(init=False, compare=False, repr=False)
    """The annotations of a reference with a URI, whose origin is a claim too."""

    def __post_init__(self) -> None:
        plain: dict[str, Scalar] = {
            "custody_integrity": self.integrity.value,
            "custody_role": self.role.value,
        }
        object.__setattr__(self, "plain", plain)
        object.__setattr__(self, "located", {**plain, "custody_origin": self.origin.value})


REPORTED: Final = ClaimLabels()


@dataclass(frozen=True, slots=True)
class RecordLabels:
    """The labels of all references of one record, in the order in which the record has them."""

    inputs: tuple[ClaimLabels, ...]
    outputs: tuple[ClaimLabels, ...]
    byproducts: tuple[ClaimLabels, ...]
    source: ClaimLabels = REPORTED

    @classmethod
    def reported(cls, record: Record) -> RecordLabels:
        """The labels of a record of which nothing is proven."""
        return cls(
            (REPORTED,) * len(record.inputs),
            (REPORTED,) * len(record.outputs),
            (REPORTED,) * len(record.byproducts),
        )


_Row: TypeAlias = tuple[str, str, int, ArtifactRef, ClaimLabels]
"""A reference with what it is sorted by; its place in the record decides between equals."""


def has_provenance(record: Record) -> bool:
    """Say whether `record` is of a build: it succeeded and made something it did not consume."""
    consumed = _consumed(record)
    return record.outcome is Outcome.SUCCEEDED and any(
        _is_subject(product.ref, consumed) for product in record.outputs
    )


def statement(
    record: Record, *, record_digest: Digest, builder_id: str, public_url: str, labels: RecordLabels
) -> ProvenanceStatement:
    """State how the step of `record` made its outputs.

    Args:
        record: The sealed record.
        record_digest: The digest of the record's line.
        builder_id: Who is stating it.
        public_url: The service's own address, without a slash at the end.
        labels: How far each claim is proven.

    Raises:
        EvidenceError: the step did not succeed or has no subject; nothing was built.
    """
    consumed = _consumed(record)
    subjects: list[Descriptor] = []
    passed_on: list[Descriptor] = []
    for _, _, _, ref, label in _by_name(record.outputs, labels.outputs):
        if _is_subject(ref, consumed):
            subjects.append(_subject(ref, label))
        else:
            passed_on.append(_descriptor(ref, label))
    if record.outcome is not Outcome.SUCCEEDED or not subjects:
        raise EvidenceError("only a step that succeeded and has a subject has provenance", step=record.step)
    byproducts = [
        _descriptor(ref, label) for _, _, _, ref, label in _by_name(record.byproducts, labels.byproducts)
    ]
    return {
        "_type": STATEMENT_V1,
        "subject": subjects,
        "predicateType": PROVENANCE_V1,
        "predicate": {
            "buildDefinition": _definition(record, public_url, labels),
            "runDetails": _details(record, record_digest, builder_id, byproducts + passed_on),
        },
    }


def _definition(record: Record, public_url: str, labels: RecordLabels) -> BuildDefinition:
    definition: BuildDefinition = {
        "buildType": public_url + BUILD_TYPE,
        "externalParameters": _external(record),
    }
    given: dict[str, object] = {
        "environment": dict(record.environment),
        "client": record.reported.client,
    }
    if internal := {name: value for name, value in given.items() if value}:
        definition["internalParameters"] = internal
    dependencies = [] if record.source is None else [_descriptor(record.source, labels.source)]
    dependencies += [_descriptor(ref, label) for _, _, _, ref, label in _by_uri(record.inputs, labels.inputs)]
    if dependencies:
        definition["resolvedDependencies"] = dependencies
    return definition


def _external(record: Record) -> dict[str, object]:
    """What the caller chose; never empty, because some readers take `{}` for missing."""
    given: dict[str, object] = {"step": record.name}
    if record.command:
        given["command"] = record.command
    if record.parameters:
        given["parameters"] = dict(record.parameters)
    if record.source is not None:
        source: dict[str, object] = {"digest": record.source.digests.to_wire()}
        if record.source.uri is not None:
            source["uri"] = record.source.uri
        given["source"] = source
    return given


def _details(
    record: Record, record_digest: Digest, builder_id: str, byproducts: list[Descriptor]
) -> RunDetails:
    metadata: dict[str, object] = {
        "invocationId": record.step,
        "startedOn": written(record.began_at),
        "finishedOn": written(record.finished_at),
        "custody_run": record.run,
        "custody_record": str(record_digest),
    }
    if reported := _reported(record.reported):
        metadata["custody_reported"] = reported
    details: RunDetails = {"builder": {"id": builder_id}, "metadata": metadata}
    if byproducts:
        details["byproducts"] = byproducts
    return details


def _reported(said: Reported) -> dict[str, object]:
    """What the step said of itself; the client it used is an internal parameter."""
    given = {
        "began_at": said.began_at,
        "finished_at": said.finished_at,
        "exit_status": said.exit_status,
        "ci": dict(said.ci) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _by_name(products: Sequence[Product], labels: Sequence[ClaimLabels]) -> list[_Row]:
    rows = [
        (product.ref.name or "", product.ref.uri or "", at, product.ref, label)
        for at, product, label in zip(range(len(labels)), products, labels, strict=True)
    ]
    rows.sort()  # by the first three: no two rows are at the same place
    return rows


def _by_uri(refs: Sequence[ArtifactRef], labels: Sequence[ClaimLabels]) -> list[_Row]:
    rows = [
        (ref.uri or "", ref.name or "", at, ref, label)
        for at, ref, label in zip(range(len(labels)), refs, labels, strict=True)
    ]
    rows.sort()
    return rows


def _consumed(record: Record) -> frozenset[str]:
    """Digests of all that went in, as hex: hashing text is several times cheaper than a `Digest`."""
    refs = record.inputs if record.source is None else (*record.inputs, record.source)
    return frozenset([digest.hex for ref in refs for digest in ref.digests.digests])


def _is_subject(ref: ArtifactRef, consumed: frozenset[str]) -> bool:
    """What went in did not come out: passing a file on is not building it."""
    digests = ref.digests.digests
    if digests[0].algorithm not in _SUBJECT_ALGORITHMS:
        return False
    return digests[0].hex not in consumed and (
        len(digests) == 1 or consumed.isdisjoint([digest.hex for digest in digests])
    )


def _subject(ref: ArtifactRef, labels: ClaimLabels) -> Descriptor:
    descriptor = _descriptor(ref, labels)
    if ref.media_type is not None:
        del descriptor["mediaType"]
    if len(ref.digests.digests) > 1:
        digest = descriptor["digest"]
        descriptor["digest"] = {name: digest[name] for name in _SUBJECT_ALGORITHMS if name in digest}
    return descriptor


def _descriptor(ref: ArtifactRef, labels: ClaimLabels) -> Descriptor:
    # Thirty of these cost as much as a signature: every line here was measured (P10).
    digests = ref.digests.digests
    digest = {digests[0].algorithm: digests[0].hex} if len(digests) == 1 else ref.digests.to_wire()
    descriptor: Descriptor
    if ref.uri is None:
        descriptor = {"annotations": labels.plain, "digest": digest}
    else:
        descriptor = {"annotations": labels.located, "digest": digest, "uri": ref.uri}
    if ref.name is not None:
        descriptor["name"] = ref.name
    if ref.media_type is not None:
        descriptor["mediaType"] = ref.media_type
    if ref.annotations:
        descriptor["annotations"] = {**ref.annotations, **descriptor["annotations"]}
    return descriptor
