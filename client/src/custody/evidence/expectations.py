"""What the caller expects of a build before trusting its output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

from custody.evidence.errors import EvidenceError, InvalidExpectationError
from custody.evidence.provenance import Provenance
from custody.evidence.statement import Reference, digests_match

LABELS: Final = ("reported", "observed", "verified")
"""How far a claim is proven, weakest first."""
# Nothing here proves more: the one builder there is states what the step said.
_PARAMETERS_LABEL: Final = "reported"
_KNOWN_PARAMETERS: Final = frozenset({"step", "command", "parameters", "source"})


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a verification: what was checked, whether it held, and what was found."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Expectations:
    """What must hold beyond the signature; what is None is not expected.

    Invariant: every member is checked by `checks`. A claim counts only when it is labelled
    `minimum_label` or better.
    """

    source_uri: str | None = None
    """The repository, with or without `@<ref>`."""
    builder_id: str | None = None
    build_type: str | None = None
    parameters: Mapping[str, object] | None = None
    """All of them: a parameter that is not expected fails."""
    minimum_label: str = "verified"

    def __post_init__(self) -> None:
        if self.minimum_label not in LABELS:
            raise InvalidExpectationError(f"not a label: {self.minimum_label[:80]}")
        if "" in (self.source_uri, self.builder_id, self.build_type):
            raise InvalidExpectationError("an expectation is not empty")

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> Expectations:
        """Read expectations from the members of a file or an object.

        Raises:
            InvalidExpectationError: one is unknown or malformed; what cannot be checked is never passed over.
        """
        if unknown := given.keys() - {member.name for member in fields(cls)}:
            raise InvalidExpectationError(f"not an expectation: {min(unknown)[:200]}")
        for name in given.keys() - {"parameters"}:
            if not isinstance(given[name], str):
                raise InvalidExpectationError(f"{name} is text")
        if not isinstance(given.get("parameters", {}), Mapping):
            raise InvalidExpectationError("parameters is an object")
        return cls(**given)  # type: ignore[arg-type] # checked line by line above

    def described(self) -> tuple[str, ...]:
        """The expectations in words, one each, for the reader of a report."""
        given = (
            ("source", self.source_uri),
            ("builder", self.builder_id),
            ("build type", self.build_type),
            ("parameters", None if self.parameters is None else json.dumps(dict(self.parameters))),
        )
        said = tuple(f"{name} {value}" for name, value in given if value is not None)
        return (*said, f"each at least {self.minimum_label}") if said else ()

    def checks(self, provenance: Provenance) -> Iterator[Check]:
        """Check each expectation against the predicate of a verified statement."""
        if self.builder_id is not None:
            yield _equal("builder", self.builder_id, provenance.builder_id)
        if self.build_type is not None:
            yield _equal("build type", self.build_type, provenance.build_type)
        if self.source_uri is not None:
            yield self._source(self.source_uri, provenance)
        if self.parameters is not None:
            yield self._parameters(self.parameters, provenance)

    def _source(self, expected: str, provenance: Provenance) -> Check:
        try:
            source = provenance.source
        except EvidenceError as error:
            return Check("source", ok=False, text=str(error))
        if source is None or source.uri is None:
            return Check("source", ok=False, text="the statement names no source")
        if not names_source(source.uri, expected):
            return Check("source", ok=False, text=f"expected {expected}, found {source.uri}")
        label = _origin_label(source, provenance)
        return Check("source", self._suffices(label), f"{source.uri} ({label or 'not labelled'})")

    def _parameters(self, expected: Mapping[str, object], provenance: Provenance) -> Check:
        external = provenance.external_parameters
        if unknown := external.keys() - _KNOWN_PARAMETERS:
            return Check("parameters", ok=False, text=f"unknown external parameter {min(unknown)[:200]}")
        if not _same(external.get("parameters") or {}, dict(expected)):
            return Check("parameters", ok=False, text="the parameters differ from the expected ones")
        return Check("parameters", self._suffices(_PARAMETERS_LABEL), f"as expected ({_PARAMETERS_LABEL})")

    def _suffices(self, label: str | None) -> bool:
        return label is not None and LABELS.index(label) >= LABELS.index(self.minimum_label)


def names_source(uri: str, expected: str) -> bool:
    """Say whether `uri` is `expected`, or `expected` at some ref.

    The ref is only cut after a path: in `git+https://host@evil.example/` the `@` ends a user name.
    """
    authority_ends = "/" in expected.partition("://")[2]
    return uri == expected or (authority_ends and uri.startswith(expected + "@"))


def _origin_label(source: Reference, provenance: Provenance) -> str | None:
    """The label of the dependency that is the source: same URI, same digest."""
    for dependency in provenance.resolved_dependencies:
        if dependency.uri == source.uri and digests_agree(source.digest, dependency.digest):
            label = dependency.annotations.get("custody_origin")
            return label if isinstance(label, str) and label in LABELS else None
    return None


def digests_agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Say whether two digest sets of one statement mean the same; here a git commit will do."""
    common = one.keys() & other.keys()
    return digests_match(one, other) or (
        "gitCommit" in common and all(one[name] == other[name] for name in common)
    )


def _equal(name: str, expected: str, found: str) -> Check:
    if expected == found:
        return Check(name, ok=True, text=found)
    return Check(name, ok=False, text=f"expected {expected}, found {found}")


def _same(found: object, expected: object) -> bool:
    """Equality that tells `true` from 1, as JSON does and Python does not."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
