"""One byte range of a request (RFC 9110 section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastapi import status
from starlette.exceptions import HTTPException

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class AskedRange:
    """`length` bytes from `start`; `whole` where everything was asked for."""

    start: int
    length: int
    whole: bool


def asked_range(header: str | None, size: int) -> AskedRange:
    """The range that `header` asks for of `size` bytes.

    A header that is absent, malformed or asks for several ranges counts as none, as the
    RFC allows.

    Raises:
        HTTPException: 416, nothing of the range exists.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found.groups() == ("", ""):
        return AskedRange(0, size, whole=True)
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last or size - 1), size - 1)
    if start >= size or end < start:
        raise HTTPException(
            status.HTTP_416_RANGE_NOT_SATISFIABLE,
            "nothing of that range exists",
            {"Content-Range": f"bytes */{size}"},
        )
    return AskedRange(start, end - start + 1, whole=False)
