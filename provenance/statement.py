"""in-toto Statement v1, parsed strictly: what is claimed, about which artifacts.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Members that nobody knows are ignored, as the specification demands of a consumer; all
others must be exactly what they should be. Written statements come from `slsa.py` and
`record_statement.py`, never from here: parsed bytes are not written again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from artifacts.digest import HEX_LENGTHS
from artifacts.errors import EvidenceError
from artifacts.strict_json import JsonValue, loads
from provenance.dsse import MAX_ENVELOPE_BYTES

STATEMENT_V1: Final = "https://in-toto.io/Statement/v1"
MAX_SUBJECTS: Final = 1024
MAX_DIGESTS: Final = 32
"""Subjects of a statement and digests of a subject; sigstore-go refuses more."""

STRONG: Final = frozenset({"sha256", "sha384", "sha512", "sha512_256", "sha3_256", "sha3_384", "sha3_512"})
"""Algorithms whose match identifies an artifact; all others only ever contradict."""

_WEAK: Final = {"md5": (32,), "sha1": (40,), "sha224": (56,), "sha512_224": (56,), "sha3_224": (56,)}
_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({**_WEAK, **HEX_LENGTHS})
_HEX: Final = re.compile(r"[0-9a-f]+")
_Model = TypeVar("_Model", bound=BaseModel)


def digests_match(claimed: Mapping[str, str], actual: Mapping[str, str]) -> bool:
    """Say whether two digest sets are of the same bytes (threats S9).

    At least one strong algorithm must agree, and no known one may disagree: a statement
    with a right sha1 beside a wrong sha256 is about something else. Unknown algorithms
    are ignored.
    """
    common = claimed.keys() & actual.keys() & _LENGTHS.keys()
    return bool(common & STRONG) and all(claimed[name] == actual[name] for name in common)


def _well_formed(digest: dict[str, str]) -> dict[str, str]:
    for algorithm, value in digest.items():
        lengths = _LENGTHS.get(algorithm)
        if lengths is not None and (len(value) not in lengths or not _HEX.fullmatch(value)):
            raise ValueError(f"{algorithm} is not lowercase hex of the right length")
    return digest


DigestMembers = Annotated[
    dict[str, str], Field(min_length=1, max_length=MAX_DIGESTS), AfterValidator(_well_formed)
]


class Strict(BaseModel):
    """What every part of a parsed statement has in common: no coercion, no change."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class ResourceDescriptor(Strict):
    """A reference to an artifact, as somebody stated it."""

    name: str | None = None
    uri: str | None = None
    digest: DigestMembers | None = None
    media_type: str | None = Field(default=None, alias="mediaType")
    annotations: dict[str, object] | None = None


class Subject(Strict):
    """An artifact that a statement is about; matched by digest alone."""

    name: str | None = None
    uri: str | None = None
    digest: DigestMembers
    annotations: dict[str, object] | None = None


class Statement(Strict):
    """What is claimed, and about which artifacts."""

    # v0.1 has the same shape; it is read, and `verify.py` refuses it.
    type_uri: Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"] = Field(
        alias="_type"
    )
    subject: Annotated[tuple[Subject, ...], Field(strict=False, min_length=1, max_length=MAX_SUBJECTS)]
    predicate_type: str = Field(alias="predicateType", min_length=1)
    predicate: dict[str, object] | None = None

    @classmethod
    def parse(cls, payload: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Statement:
        """Read a statement from the verified payload of an envelope.

        Raises:
            LimitExceededError: `payload` is too long.
            MalformedJsonError: it is not strict JSON; duplicate members are not.
            EvidenceError: it is not an in-toto statement.
        """
        return parsed(cls, loads(payload, max_bytes=max_bytes), "an in-toto statement")

    def matching(self, digests: Mapping[str, str]) -> tuple[Subject, ...]:
        """The subjects that are the artifact with these digests."""
        return tuple(subject for subject in self.subject if digests_match(subject.digest, digests))


def matches(statement: Statement, digests: Mapping[str, str]) -> bool:
    """Say whether `statement` is about the artifact with these digests."""
    return bool(statement.matching(digests))


def parsed(model: type[_Model], value: JsonValue | Mapping[str, object], what: str) -> _Model:
    """Read `value` as `model`.

    Raises:
        EvidenceError: it is not one; the first reason is among the facts.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"]))[:200]
        raise EvidenceError(f"not {what}", at=at, reason=first["msg"]) from error
