"""References as people type them: `sha256:…`, `URI@sha256:…`, or a path."""

from __future__ import annotations

import re
from typing import NamedTuple

from custody.errors import MisuseError

_LENGTHS = {
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
_HEX = re.compile(r"[0-9a-f]+")
# Two letters at least, so that a Windows drive is a path and not a scheme.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
# The form that the service takes: an opaque name that nothing ever fetches.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f<>\"{}|\\^`]+")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]*:[^/?#]*@")
MAX_URI = 4096


class Reference(NamedTuple):
    """An immutable thing: a digest, and where it is said to live."""

    algorithm: str
    hex: str
    uri: str | None = None

    @property
    def digest(self) -> str:
        """The digest, written `algorithm:hex`."""
        return f"{self.algorithm}:{self.hex}"

    def descriptor(self) -> dict[str, object]:
        """Return the reference as an in-toto `ResourceDescriptor`."""
        found: dict[str, object] = {"digest": {self.algorithm: self.hex}}
        if self.uri is not None:
            found["uri"] = self.uri
        return found


def is_digest(text: str) -> bool:
    """Return whether `text` is a digest in its written form."""
    algorithm, _, value = text.partition(":")
    return len(value) in _LENGTHS.get(algorithm, ()) and _HEX.fullmatch(value) is not None


def looks_like_reference(text: str) -> bool:
    """Return whether `text` means a digest or a URI; anything else is a path.

    A file whose name looks like a URI is reached by writing `./` before it.
    """
    head, _, tail = text.rpartition("@")
    return _SCHEME.match(text) is not None or (bool(head) and tail.partition(":")[0] in _LENGTHS)


def parse_digest(text: str) -> Reference:
    """Read a digest.

    Raises:
        MisuseError: It is none, or of an algorithm nobody here knows.
    """
    algorithm, colon, value = text.partition(":")
    if not colon or algorithm not in _LENGTHS:
        raise MisuseError(f"{text[:200]} is not a digest", hint=f"known algorithms: {', '.join(_LENGTHS)}")
    if not is_digest(text):
        lengths = " or ".join(str(length) for length in _LENGTHS[algorithm])
        raise MisuseError(
            f"{text[:200]} is not a digest", hint=f"{algorithm} takes {lengths} lower-case hex digits"
        )
    return Reference(algorithm, value)


def parse(text: str) -> Reference:
    """Read `algorithm:hex` or `URI@algorithm:hex`.

    Raises:
        MisuseError: There is no digest, or the URI is not one.
    """
    if text.partition(":")[0] in _LENGTHS:
        return parse_digest(text)
    uri, at, written = text.rpartition("@")
    if not at or written.partition(":")[0] not in _LENGTHS:
        raise MisuseError(
            f"{text[:200]} names no digest, and what is behind a URI may change",
            hint="write URI@sha256:<hex>, or give the path of a local copy",
        )
    digest = parse_digest(written)
    return Reference(digest.algorithm, digest.hex, check_uri(uri))


def check_uri(uri: str) -> str:
    """Return `uri` if it can stand in a reference.

    Raises:
        MisuseError: It has no scheme, has blanks or control characters, or is too long.
    """
    if not _SCHEME.match(uri):
        raise MisuseError(
            f"{uri[:200]} is not a URI", hint=f"a URI begins with a scheme, like oci://{uri[:100]}"
        )
    if _PASSWORD.match(uri):
        # Not repeated: the record and the terminal are no place for it.
        raise MisuseError("the URI holds a password", hint="leave out what stands before the @")
    if len(uri) > MAX_URI or not _URI.fullmatch(uri):
        raise MisuseError(
            f"{uri[:200]} is not a URI", hint="blanks and unsafe characters are written %20 and so on"
        )
    return uri
