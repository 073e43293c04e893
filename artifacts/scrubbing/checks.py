"""How each kind of object is checked.

Most names tell the digest of what lies there: blobs and packs, segments, journal files and
bundles are hashed. A manifest or layout is named by its text and rests compressed: it is hashed
against what the index says of how it rests, or unfolded where the index knows nothing.
Receipts and refusals are read as strictly as they were written, to the byte, and held against
their names and the index. Whoever signs says how objects below `control/` are checked.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from artifacts import layout, receipts, refusals
from artifacts.clock import from_milliseconds, written
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, CustodyError, InvalidInputError, LimitExceededError
from artifacts.layout import Key
from artifacts.limits import MAX_MANIFEST_BYTES
from artifacts.named_keys import Kind
from artifacts.queries.scrubbing import Expected
from artifacts.record_rows import moment
from artifacts.scrubbing.areas import BUNDLE, CONTROL, Item
from artifacts.scrubbing.pacing import LEAST, Pace
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import JsonObject, loads
from artifacts.trees import receipts as tree_receipts
from artifacts.trees.compression import FrameReader
from artifacts.wire import canonical

CheckControl = Callable[[Key, bytes], None]
"""Raises `CorruptedError` for an object below `control/` that is not what was written."""
SMALL: Final = 64 * 1024
"""Up to here an object is read in one piece and hashed at once: a hop to a thread costs more."""
MAX_SIGNED_BYTES: Final = 4 * 1024 * 1024
"""More than any receipt, refusal or object below `control/` has."""
_SLICE: Final = 16 * 1024
_HASHED: Final = frozenset({Kind.BLOB, Kind.SEGMENT, Kind.JOURNAL, BUNDLE})
_FOLDED: Final = frozenset({Kind.MANIFEST, Kind.LAYOUT})


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of an object."""

    digest: Digest
    """Of the bytes as they rest."""
    size: int
    reason: str | None
    """Why they are not what was written, or None where they are."""


@dataclass(slots=True)
class Checks:
    """Looks at the objects of `store`."""

    store: ObjectStore
    control: CheckControl
    pace: Pace
    count: Callable[[int], None] = lambda _size: None
    """Hears of all bytes that are read."""

    async def look(self, item: Item, expected: Expected | None) -> Look:
        """Look at one object; what is wrong is looked at twice, since it may be replaced meanwhile.

        Raises:
            NotFoundError: it is not there.
        """
        first = await self._look(item, expected)
        return first if first.reason is None else await self._look(item, expected)

    async def _look(self, item: Item, expected: Expected | None) -> Look:
        await self.pace(LEAST)
        try:
            return await self._ways(item)(item, expected)
        except CorruptedError as error:
            # What cannot be read as an object at all has no digest.
            return Look(Digest.of(b""), 0, error.message)

    def _ways(self, item: Item) -> Callable[[Item, Expected | None], Awaitable[Look]]:
        if item.kind in _HASHED:
            return self._hashed
        return self._folded if item.kind in _FOLDED else self._written

    async def _hashed(self, item: Item, expected: Expected | None) -> Look:
        digest, size = await self.hashed(item)
        if digest == item.digest:
            return Look(digest, size, None)
        told = (
            ""
            if expected is None or expected.size in {None, size}
            else f", {size} in place of {expected.size}"
        )
        return Look(digest, size, f"its bytes{told} are not those of its name")

    async def _folded(self, item: Item, expected: Expected | None) -> Look:
        if expected is None or expected.stored is None:
            return await self._unfolded(item)
        digest, size = await self.hashed(item)
        return Look(digest, size, None if digest == expected.stored else "it is not as it was put to rest")

    async def _unfolded(self, item: Item) -> Look:
        text, hasher, size = hashlib.sha256(), hashlib.sha256(), 0
        reader = FrameReader(limit=MAX_MANIFEST_BYTES, length=await self.store.size(item.key))

        def feed(piece: bytes) -> None:
            for some in reader.feed(piece):
                text.update(some)

        try:
            async for piece in self._pieces(item):
                hasher.update(piece)
                size += len(piece)
                for start in range(0, len(piece), _SLICE):
                    await asyncio.to_thread(feed, piece[start : start + _SLICE])
            reader.finish()
        except (InvalidInputError, LimitExceededError) as error:
            raise CorruptedError("it does not unfold") from error
        right = item.digest is not None and text.hexdigest() == item.digest.hex
        reason = None if right else "its text is not that of its name"
        return Look(Digest("sha256", hasher.hexdigest()), size, reason)

    async def _written(self, item: Item, expected: Expected | None) -> Look:
        size = item.size if item.size is not None else await self.store.size(item.key)
        if size is not None and size > MAX_SIGNED_BYTES:
            raise CorruptedError("it is longer than anything that is written there")
        content = await self.store.read(item.key)
        self.count(len(content))
        await self.pace(max(0, len(content) - LEAST))
        reason = None
        try:
            check_written(item, expected, content, self.control)
        except CustodyError as error:
            reason = error.message
        return Look(Digest.of(content), len(content), reason)

    async def hashed(self, item: Item) -> tuple[Digest, int]:
        """Digest and size of the bytes as they rest."""
        hasher, size = hashlib.sha256(), 0
        async for piece in self._pieces(item):
            if len(piece) <= SMALL:
                hasher.update(piece)
            else:
                await asyncio.to_thread(hasher.update, piece)
            size += len(piece)
        return Digest("sha256", hasher.hexdigest()), size

    async def _pieces(self, item: Item) -> AsyncIterator[bytes]:
        size = item.size if item.size is not None else await self.store.size(item.key)
        if size is not None and size <= SMALL:
            content = await self.store.read(item.key)
            self.count(len(content))
            yield content
            return
        async for piece in self.store.open(item.key):
            self.count(len(piece))
            await self.pace(len(piece))
            yield piece


def check_written(item: Item, expected: Expected | None, content: bytes, control: CheckControl) -> None:
    """Check what is written in JSON: receipts, refusals and what lies below `control/`.

    Raises:
        CorruptedError: it is not what its name and the index say.
        CustodyError: likewise.
    """
    if item.kind == CONTROL:
        control(item.key, content)
        return
    if item.kind == Kind.RECEIPT:
        at = _check_receipt(item, expected, content)
    elif item.kind == Kind.TREE_RECEIPT:
        at = _check_tree_receipt(item, expected, content)
    else:
        at = _check_refusal(item, content)
    try:
        if written(from_milliseconds(moment(at))) != at:
            raise ValueError(at)  # noqa: TRY301  # one message for all that is no time
    except (ValueError, OverflowError) as error:
        raise CorruptedError("its time is none") from error


def _check_receipt(item: Item, expected: Expected | None, content: bytes) -> str:
    found = receipts.parse(content)
    if (found.project, found.kind, found.digest) != (item.project, item.detail, item.digest):
        raise CorruptedError("the receipt belongs elsewhere")
    if found.holds and expected is not None and expected.size != found.size:
        raise CorruptedError("the receipt says another length than the index")
    return _as_written(content, "hashed_at")


def _check_tree_receipt(item: Item, expected: Expected | None, content: bytes) -> str:
    found = tree_receipts.parse(content)
    if (found.project, found.digest) != (item.project, item.digest):
        raise CorruptedError("the receipt belongs elsewhere")
    if expected is not None and (expected.layout, expected.size) != (found.layout, found.size):
        raise CorruptedError("the receipt says something else than the index")
    return _as_written(content, "hashed_at")


def _check_refusal(item: Item, content: bytes) -> str:
    found, _ = refusals.parse(content)
    if layout.refusal(found.project, found.step, found.record) != item.key:
        raise CorruptedError("the refusal belongs elsewhere")
    return _as_written(content, "refused_at")


def _as_written(content: bytes, time: str) -> str:
    """The member `time` of an object that was written as this service writes them."""
    value = loads(content)
    members: JsonObject = value if isinstance(value, dict) else {}
    if canonical(members).encode() != content:
        raise CorruptedError("it is not written as this service writes")
    return str(members.get(time))
