"""Reading many objects at a time: a bounded number of readers, and the work on what they read in threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from artifacts.clock import to_milliseconds
from artifacts.errors import CorruptedError, CustodyError, NotFoundError
from artifacts.layout import Key
from artifacts.limits import MIB
from artifacts.storage.bounded import TOO_LARGE
from artifacts.storage.protocol import Listed, ObjectStore, ReadsTogether
from provenance.dsse import MAX_ENVELOPE_BYTES
from provenance.reindex.report import Report

AT_ONCE: Final = 64
"""Objects that are read together: one chunk of work for a thread."""
BYTES_AT_ONCE: Final = 64 * MIB
"""Beyond this a chunk takes in no more objects."""
CHUNKS: Final = 3
"""Chunks under way: one that is read, one that is worked on, one that is filed."""
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Lying:
    """An object as it lies in the bucket."""

    key: Key
    changed_at: int
    content: bytes


async def chunked(
    items: AsyncIterable[_T], *, size: int = AT_ONCE, weigh: Callable[[_T], int] = lambda _: 0
) -> AsyncIterator[list[_T]]:
    """`items`, some at a time: `size` of them, or fewer that have `BYTES_AT_ONCE` together."""
    held: list[_T] = []
    weight = 0
    async for item in items:
        held.append(item)
        weight += weigh(item)
        if len(held) == size or weight >= BYTES_AT_ONCE:
            yield held
            held, weight = [], 0
    if held:
        yield held


async def abreast(
    chunks: AsyncIterable[_T], work: Callable[[_T], Awaitable[_R]], *, at_once: int = CHUNKS
) -> AsyncIterator[_R]:
    """What `work` makes of each of `chunks`, in their order, while it is busy with the next ones."""
    waiting: list[asyncio.Future[_R]] = []
    try:
        async for chunk in chunks:
            waiting.append(asyncio.ensure_future(work(chunk)))
            if len(waiting) == at_once:
                yield await waiting.pop(0)
        while waiting:
            yield await waiting.pop(0)
    finally:
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def each(items: Iterable[_T]) -> AsyncIterator[_T]:
    """`items`, as `chunked` takes them."""
    for item in items:
        yield item


def fits(listed: Listed, most: int, report: Report) -> bool:
    """Whether the object is small enough to be read; one that is not is doubted."""
    if listed.size > most:
        report.doubt(listed.key, TOO_LARGE)
    return listed.size <= most


async def lying(
    store: ObjectStore, listing: Sequence[Listed], report: Report, *, most: int = MAX_ENVELOPE_BYTES
) -> list[Lying]:
    """Read the objects of `listing` together; what is none of ours is doubted, what is gone is left out."""
    chunk = [listed for listed in listing if fits(listed, most, report)]
    keys = [listed.key for listed in chunk]
    if isinstance(store, ReadsTogether):
        contents = await store.read_each(keys)
    else:
        contents = await asyncio.gather(*(_read(store, key) for key in keys))
    found = []
    for listed, content in zip(chunk, contents, strict=True):
        if isinstance(content, bytes):
            found.append(Lying(listed.key, to_milliseconds(listed.changed_at), content))
        elif isinstance(content, CorruptedError):
            report.doubt(listed.key, content.message)
        else:
            report.counts["gone while reading"] += 1
    return found


async def _read(store: ObjectStore, key: Key) -> bytes | CustodyError:
    try:
        return await store.read(key)
    except (CorruptedError, NotFoundError) as error:
        return error
