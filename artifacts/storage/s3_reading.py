"""Reading one object, going on where a connection broke."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from artifacts.errors import CorruptedError, InvalidInputError, NotFoundError, UnavailableError
from artifacts.storage.s3 import MIB, Answer, Body, Bucket
from artifacts.storage.s3_errors import PassingError

_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_ATTEMPTS: Final = 4
NEEDED: Final = ("ContentLength", "ETag")
"""What every answer about an object says."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What one answer carries: bytes `start` to `end` (exclusive) of `total`."""

    start: int
    end: int
    total: int
    body: Body


class Reading:
    """Reads `name` of `bucket`; every byte is of one version of the object."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self.mark = ""
        """The ETag of what is read, once something was."""
        self.metadata: dict[str, str] = {}

    async def whole(self, start: int, length: int | None) -> bytes:
        """The bytes in one piece."""
        return b"".join([piece async for piece in self.pieces(start, length)])

    async def pieces(self, start: int, length: int | None) -> AsyncIterator[bytes]:
        """Give `length` bytes from `start`, or all to the end, in pieces of 1 MiB.

        Raises:
            NotFoundError: there is no such object.
            CorruptedError: it was replaced while it was read.
            UnavailableError: the store broke off again and again without giving anything.
        """
        position, end = start, None if length is None else start + length
        failures = 0
        while end is None or position < end:
            try:
                span = await self._begin(position, end)
                if span is None:
                    return
                end = min(span.total, span.total if end is None else end)
                async for piece in self._bytes(span):
                    yield piece
                    position, failures = position + len(piece), 0
            except PassingError as error:
                failures += 1
                if failures >= _ATTEMPTS:
                    raise error.for_good() from error
                await asyncio.sleep(0.05 * failures)
        if start == position:
            await self._head()  # nothing was asked for; of an object that is not there, not even that

    async def _head(self) -> int:
        found = await self._bucket.call("head_object", needs=NEEDED, Key=self._name)
        return int(found["ContentLength"])

    async def _begin(self, position: int, end: int | None) -> _Span | None:
        """Ask for the bytes from `position`; None where there are none."""
        asked = f"bytes={position}-{'' if end is None else end - 1}"
        try:
            answer = await self._get(asked)
        except InvalidInputError:
            if position >= await self._head():
                return None
            raise
        found = _RANGE.fullmatch(str(answer.get("ContentRange", "")))
        if found is None:
            raise UnavailableError("the object store does not serve ranges", key=self._name)
        first, last, total = (int(number) for number in found.groups())
        span = _Span(first, last + 1, total, answer["Body"])
        wanted = total if end is None else min(end, total)
        if (span.start, span.end, answer["ContentLength"]) != (position, wanted, wanted - position):
            span.body.close()
            raise PassingError("the object store errs", "it gives another range than was asked for")
        self._bind(str(answer["ETag"]), span)
        self.metadata = dict(answer.get("Metadata", {}))
        return span

    async def _get(self, asked: str) -> Answer:
        try:
            return await self._bucket.call("get_object", needs=NEEDED, Key=self._name, Range=asked)
        except NotFoundError:
            # Some servers show a new object late. What nobody expects to be there is seldom read.
            return await self._bucket.call("get_object", needs=NEEDED, Key=self._name, Range=asked)

    def _bind(self, mark: str, span: _Span) -> None:
        if self.mark not in {"", mark}:
            span.body.close()
            raise CorruptedError("the object was replaced while it was read", key=self._name)
        self.mark = mark

    async def _bytes(self, span: _Span) -> AsyncIterator[bytes]:
        left = span.end - span.start
        try:
            while left > 0:
                piece = await self._bucket.in_thread(partial(_read, span.body, min(MIB, left)))
                left -= len(piece)
                yield piece
            # The end of the body is seen here, so that the connection can be used again.
            await self._bucket.in_thread(partial(span.body.read, 1))
        finally:
            if left > 0:
                # Closing may wait for a read that still hangs in its thread.
                asyncio.get_running_loop().run_in_executor(None, span.body.close)


def _read(body: Body, amount: int) -> bytes:
    piece = body.read(amount)
    if not piece:
        raise PassingError("the object store broke off", "fewer bytes came than were announced")
    return piece
