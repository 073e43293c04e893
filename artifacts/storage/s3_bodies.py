"""The bodies of requests: cut to size, and with the sums they are sent and kept with."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

from artifacts.errors import LimitExceededError

SUM: Final = "custody-sha256"
"""The metadata in which an object that was written in one piece carries its sum."""


def within(limit: int, size: int) -> int:
    """The size so far.

    Raises:
        LimitExceededError: it is over `limit`.
    """
    if size > limit:
        raise LimitExceededError(f"the content is longer than {limit} bytes")
    return size


def sums(content: bytes) -> dict[str, Any]:  # Any: as boto3 takes
    """The body, the MD5 that every server checks, and the sum that we check when reading."""
    md5 = hashlib.md5(content, usedforsecurity=False).digest()
    sha256 = hashlib.sha256(content).hexdigest()
    return {"Body": content, "ContentMD5": base64.b64encode(md5).decode(), "Metadata": {SUM: sha256}}


async def regrouped(content: AsyncIterable[bytes], size: int) -> AsyncIterator[tuple[bytes, bool]]:
    """The same bytes in pieces of `size`, each with whether it is the last; nothing for nothing."""
    held = bytearray()
    async for piece in content:
        held += piece
        while len(held) > size:
            yield bytes(held[:size]), False
            del held[:size]
    if held:
        yield bytes(held), True
