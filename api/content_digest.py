"""Digests in HTTP header fields (RFC 9530)."""

from __future__ import annotations

import base64
import binascii
import re

from artifacts.digest import Digest
from artifacts.errors import InvalidDigestError

_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{1,88}):\s*(?:,|$)")


def declared_digest(header: str | None) -> Digest | None:
    """The sha256 of a `Content-Digest` field, or None where the field is absent.

    Raises:
        InvalidDigestError: the field is there and has no well-formed sha-256.
    """
    if header is None:
        return None
    found = _SHA256.search(header)
    try:
        raw = base64.b64decode(found.group(1), validate=True) if found else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise InvalidDigestError(
            "Content-Digest needs a sha-256", hint="sha-256=:<base64 of 32 bytes>:", given=header[:200]
        )
    return Digest.sha256(raw)


def repr_digest(digest: Digest) -> str:
    """The value of a `Repr-Digest` field."""
    return f"sha-256=:{base64.b64encode(digest.raw).decode()}:"
