"""References to artifacts: URI plus digest, immutable; and how far each claim is proven."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from artifacts.digest import Digest, DigestSet
from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.limits import MAX_INTEGER, MAX_MEMBERS, MAX_NAME, MAX_TEXT, MAX_URI

Scalar = str | bool | int
"""What a parameter or annotation may be; floats are written as strings."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?!/*$)[^\s\x00-\x1f\x7f<>\"{}|\\^`]+")
_ANNOTATION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(;[\x20-\x7e]{0,256})?")
# C0 and C1 controls, the characters that reorder text (Trojan Source, CVE-2021-42574), lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
RESERVED_ANNOTATIONS = "custody_"


class Evidence(StrEnum):
    """How far a claim is proven (DESIGN section 2, promise 5); a label belongs to one claim."""

    VERIFIED = "verified"
    OBSERVED = "observed"
    REPORTED = "reported"


def checked_name(name: str, what: str) -> str:
    """Return `name` if it can be shown and stored safely.

    Raises:
        InvalidInputError: it is empty, or has control or reordering characters.
        LimitExceededError: it is longer than `MAX_NAME`.
    """
    if not name or _UNPRINTABLE.search(name):
        raise InvalidInputError(f"{what} must be printable text", given=repr(name[:200]))
    if len(name) > MAX_NAME:
        raise LimitExceededError(f"{what} is longer than {MAX_NAME} characters", length=len(name))
    return name


def checked_output_name(name: str) -> str:
    """Return `name` if it is a relative path without tricks.

    Raises:
        InvalidInputError: it is absolute, has empty, `.` or `..` parts, or a backslash.
        LimitExceededError: it is too long.
    """
    checked_name(name, "the name of an output")
    parts = name.split("/")
    if "\\" in name or any(part in {"", ".", ".."} for part in parts):
        raise InvalidInputError(
            "the name of an output is a relative path",
            hint="no leading /, no empty, . or .. parts, no backslash",
            given=name[:200],
        )
    return name


def checked_uri(uri: str) -> str:
    """Return `uri` if it is an absolute URI without whitespace (RFC 3986 section 4.3).

    It is an opaque name: nothing here ever fetches it.

    Raises:
        InvalidInputError: it is not.
        LimitExceededError: it is longer than `MAX_URI`.
    """
    if len(uri) > MAX_URI:
        raise LimitExceededError(f"the URI is longer than {MAX_URI} characters", length=len(uri))
    if not _URI.fullmatch(uri) or _UNPRINTABLE.search(uri):
        raise InvalidInputError(
            "not an absolute URI", hint="for example pkg:pypi/flask@3.1.0", given=uri[:200]
        )
    return uri


def checked_media_type(media_type: str | None) -> str | None:
    """Return `media_type` if it is one, or None.

    Raises:
        InvalidInputError: it is not.
    """
    if media_type is not None and not _MEDIA_TYPE.fullmatch(media_type):
        raise InvalidInputError("not a media type", given=media_type[:200])
    return media_type


def checked_scalars(given: Mapping[str, Scalar], what: str) -> Mapping[str, Scalar]:
    """Return `given` read-only if every value travels unchanged through every JSON reader.

    Raises:
        InvalidInputError: a name or value is not acceptable.
        LimitExceededError: there are too many members, or a value is too long.
    """
    if len(given) > MAX_MEMBERS:
        raise LimitExceededError(f"{what} has more than {MAX_MEMBERS} members", members=len(given))
    for name, value in given.items():
        checked_name(name, f"a name in {what}")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise LimitExceededError(f"{what}: {name} is longer than {MAX_TEXT} characters")
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise InvalidInputError(
                f"{what}: {name} is beyond 2^53", hint="write large numbers as strings", given=str(value)[:40]
            )
    return MappingProxyType(dict(given))


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """An immutable reference: what in-toto calls a ResourceDescriptor."""

    digests: DigestSet
    uri: str | None = None
    name: str | None = None
    media_type: str | None = None
    annotations: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.uri is not None:
            checked_uri(self.uri)
        if self.name is not None:
            checked_name(self.name, "the name of an artifact")
        checked_media_type(self.media_type)
        checked_scalars(self.annotations, "annotations")
        for name in self.annotations:
            if not _ANNOTATION.fullmatch(name) or name.startswith(RESERVED_ANNOTATIONS):
                raise InvalidInputError(
                    "not a name for an annotation",
                    hint=f"letters, digits and _; not beginning with {RESERVED_ANNOTATIONS}",
                    given=name[:200],
                )

    @property
    def digest(self) -> Digest:
        """The artifact's address."""
        return self.digests.identity
