"""in-toto Statement v1, parsed strictly from verified bytes.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Members that nobody knows are ignored, as the specification demands of a consumer; all
others must be exactly what they should be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from custody.evidence.dsse import MAX_ENVELOPE_BYTES
from custody.evidence.errors import EvidenceError
from custody.strict_json import JsonObject, JsonValue, loads

STATEMENT_V1: Final = "https://in-toto.io/Statement/v1"
_TYPES: Final = frozenset({STATEMENT_V1, "https://in-toto.io/Statement/v0.1"})
MAX_SUBJECTS: Final = 1024
MAX_DIGESTS: Final = 32

STRONG: Final = frozenset({"sha256", "sha384", "sha512", "sha512_256", "sha3_256", "sha3_384", "sha3_512"})
"""Algorithms whose match identifies an artifact; all others only ever contradict."""

_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = {
    "md5": (32,),
    "sha1": (40,),
    "sha224": (56,),
    "sha512_224": (56,),
    "sha3_224": (56,),
    "sha256": (64,),
    "sha384": (96,),
    "sha512": (128,),
    "sha512_256": (64,),
    "sha3_256": (64,),
    "sha3_384": (96,),
    "sha3_512": (128,),
    "gitCommit": (40, 64),
    "gitTree": (40, 64),
    "gitBlob": (40, 64),
    "gitTag": (40, 64),
}
_HEX: Final = re.compile(r"[0-9a-f]+")


def digests_match(claimed: Mapping[str, str], actual: Mapping[str, str]) -> bool:
    """Say whether two digest sets are of the same bytes.

    At least one strong algorithm must agree, and no known one may disagree: a statement
    with a right sha1 beside a wrong sha256 is about something else. Unknown algorithms
    are ignored.
    """
    common = claimed.keys() & actual.keys() & _LENGTHS.keys()
    return bool(common & STRONG) and all(claimed[name] == actual[name] for name in common)


@dataclass(frozen=True, slots=True)
class Reference:
    """A ResourceDescriptor, as somebody stated it."""

    name: str | None
    uri: str | None
    digest: Mapping[str, str]
    annotations: Mapping[str, JsonValue]

    @classmethod
    def from_dict(cls, value: JsonValue) -> Reference:
        """Read a descriptor; unset, null and empty mean the same.

        Raises:
            EvidenceError: it is not one.
        """
        if not isinstance(value, dict):
            raise EvidenceError("a reference is an object")
        annotations = value.get("annotations") or {}
        if not isinstance(annotations, dict):
            raise EvidenceError("annotations is an object")
        return cls(_text(value, "name"), _text(value, "uri"), _digests(value.get("digest")), annotations)


@dataclass(frozen=True, slots=True)
class Statement:
    """What is claimed, and about which artifacts.

    Invariant: at least one subject, each with a digest.
    """

    type_uri: str
    subjects: tuple[Reference, ...]
    predicate_type: str
    predicate: JsonObject

    @classmethod
    def parse(cls, payload: bytes) -> Statement:
        """Read a statement from the verified payload of an envelope.

        Raises:
            MalformedJsonError: it is not strict JSON; duplicate members are not.
            EvidenceError: it is not an in-toto statement.
        """
        match loads(payload, max_bytes=MAX_ENVELOPE_BYTES):
            case {
                "_type": str(kind),
                "subject": list(given),
                "predicateType": str(predicate_type),
                **others,
            }:
                predicate = others.get("predicate")
            case _:
                raise EvidenceError("not an in-toto statement: needs _type, subject and predicateType")
        if kind not in _TYPES or not predicate_type:
            raise EvidenceError("not an in-toto statement of version 1")
        if predicate is not None and not isinstance(predicate, dict):
            raise EvidenceError("a predicate is an object")
        return cls(kind, _subjects(given), predicate_type, predicate or {})

    def matching(self, digests: Mapping[str, str]) -> tuple[Reference, ...]:
        """The subjects that are the artifact with these digests."""
        return tuple(subject for subject in self.subjects if digests_match(subject.digest, digests))


def _subjects(given: list[JsonValue]) -> tuple[Reference, ...]:
    if not 1 <= len(given) <= MAX_SUBJECTS:
        raise EvidenceError(f"a statement has 1 to {MAX_SUBJECTS} subjects")
    subjects = tuple(map(Reference.from_dict, given))
    if not all(subject.digest for subject in subjects):
        raise EvidenceError("every subject has a digest")
    return subjects


def _text(value: JsonObject, member: str) -> str | None:
    text = value.get(member)
    if text is not None and not isinstance(text, str):
        raise EvidenceError(f"{member} is text")
    return text


def _digests(value: JsonValue) -> Mapping[str, str]:
    given = {} if value is None else value
    if not isinstance(given, dict) or len(given) > MAX_DIGESTS:
        raise EvidenceError("digest is an object")
    digests: dict[str, str] = {}
    for algorithm, digest in given.items():
        if not isinstance(digest, str):
            raise EvidenceError("a digest is text")
        lengths = _LENGTHS.get(algorithm)
        if lengths is not None and (len(digest) not in lengths or not _HEX.fullmatch(digest)):
            raise EvidenceError(f"{algorithm} is not lowercase hex of the right length")
        digests[algorithm] = digest
    return digests
