"""What somebody expects of a build before they trust its output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final

import orjson

from artifacts.errors import EvidenceError, InvalidInputError
from artifacts.refs import Evidence
from provenance.predicate import Provenance
from provenance.statement import ResourceDescriptor, digests_match

_RANK: Final = {Evidence.REPORTED: 0, Evidence.OBSERVED: 1, Evidence.VERIFIED: 2}
# Parameters that our build type defines; SLSA wants any other refused once parameters are checked.
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
    minimum_label: Evidence = Evidence.VERIFIED

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> Expectations:
        """Read expectations from a request or a policy.

        Raises:
            InvalidInputError: one is unknown or malformed; what cannot be checked is never passed over.
        """
        if unknown := given.keys() - {member.name for member in fields(cls)}:
            raise InvalidInputError("not an expectation", given=min(unknown)[:200])
        for name in ("source_uri", "builder_id", "build_type"):
            if not isinstance(given.get(name), str | None) or given.get(name) == "":
                raise InvalidInputError(f"{name} is text", given=str(given[name])[:200])
        if not isinstance(given.get("parameters"), Mapping | None):
            raise InvalidInputError("parameters is an object")
        label = given.get("minimum_label", Evidence.VERIFIED)
        if not isinstance(label, str) or label not in _RANK:
            raise InvalidInputError("not a label", hint=f"one of {', '.join(Evidence)}")
        return cls(**{**given, "minimum_label": Evidence(label)})  # type: ignore[arg-type] # checked line by line above

    def checks(self, provenance: Provenance, parameters_label: Evidence) -> Iterator[Check]:
        """Check each expectation against `provenance`.

        Args:
            provenance: The predicate of a verified statement.
            parameters_label: How far its builder proves the parameters that it states.
        """
        if self.builder_id is not None:
            yield _equal("builder", self.builder_id, provenance.builder_id)
        if self.build_type is not None:
            yield _equal("build type", self.build_type, provenance.build_definition.build_type)
        if self.source_uri is not None:
            yield self._source(self.source_uri, provenance)
        if self.parameters is not None:
            yield self._parameters(self.parameters, provenance, parameters_label)

    def _source(self, expected: str, provenance: Provenance) -> Check:
        try:
            source = provenance.source
        except EvidenceError as error:
            return Check("source", ok=False, text=error.message)
        if source is None or source.uri is None:
            return Check("source", ok=False, text="the statement names no source")
        if not names_source(source.uri, expected):
            return Check("source", ok=False, text=f"expected {expected}, found {source.uri}")
        label = _origin_label(source, provenance)
        return Check("source", self._suffices(label), f"{source.uri} ({label or 'not labelled'})")

    def _parameters(self, expected: Mapping[str, object], provenance: Provenance, label: Evidence) -> Check:
        external = provenance.build_definition.external_parameters
        if unknown := external.keys() - _KNOWN_PARAMETERS:
            return Check("parameters", ok=False, text=f"unknown external parameter {min(unknown)[:200]}")
        if not _same(external.get("parameters") or {}, dict(expected)):
            return Check("parameters", ok=False, text="the parameters differ from the expected ones")
        return Check("parameters", self._suffices(label), f"as expected ({label})")

    def _suffices(self, label: Evidence | None) -> bool:
        return label is not None and _RANK[label] >= _RANK[self.minimum_label]


def names_source(uri: str, expected: str) -> bool:
    """Say whether `uri` is `expected`, or `expected` at some ref.

    The ref is only cut after a path: in `git+https://host@evil.example/` the `@` ends a user name.
    """
    authority_ends = "/" in expected.partition("://")[2]
    return uri == expected or (authority_ends and uri.startswith(expected + "@"))


def _origin_label(source: ResourceDescriptor, provenance: Provenance) -> Evidence | None:
    """The label of the dependency that is the source: same URI, same digest."""
    for dependency in provenance.build_definition.resolved_dependencies or ():
        if dependency.uri == source.uri and digests_agree(source.digest or {}, dependency.digest or {}):
            label = (dependency.annotations or {}).get("custody_origin")
            return Evidence(label) if isinstance(label, str) and label in _RANK else None
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
    option = orjson.OPT_SORT_KEYS
    return orjson.dumps(found, option=option) == orjson.dumps(expected, option=option)
