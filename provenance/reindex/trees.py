"""Filing trees: every frame is decoded and every file hashed again before a location counts.

For each manifest, in the order in which workers vouched for the trees,

1. the manifest is read strictly, as when it was sent;
2. where a worker's receipt names a layout, the layout is read: it is a claim and no more;
3. the frames it names are decoded, and each file in them is hashed; those that are right have
   their locations written, but for contents that were purged;
4. the tree is put before the very checker that a worker uses, which finds it present, or not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from artifacts import layout
from artifacts.clock import to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import (
    CorruptedError,
    CustodyError,
    InvalidInputError,
    LimitExceededError,
    UnavailableError,
)
from artifacts.limits import MAX_MANIFEST_BYTES
from artifacts.named_keys import Named
from artifacts.queries import locations, queue
from artifacts.queries.locations import SeenPack
from artifacts.queries.queue import Job
from artifacts.storage.bounded import TOO_LARGE
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, layout_reading
from artifacts.trees import receipts as tree_receipts
from artifacts.trees.checking import Checker
from artifacts.trees.layout_reading import LaidFrame
from artifacts.trees.manifest import MAX_TARGET, Entry
from artifacts.trees.packs import Location
from artifacts.trees.reading import entries
from artifacts.trees.receipts import TreeReceipt
from artifacts.trees.states import TreeState
from artifacts.trees.taking import CHECK, Trees
from provenance.reindex.control import NOTHING_BARRED, PURGED, Barred
from provenance.reindex.reading import abreast, chunked
from provenance.reindex.report import Report

_FRAMES_AT_ONCE = 16
_NO_CLAIM = Digest.of(b"")
"""In the place of the claim that a worker found right: whoever makes it again is checked again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A clock that stands at the moment a tree was vouched for, so that trees keep their order."""

    moment: datetime

    def now(self) -> datetime:
        """That moment."""
        return self.moment


@dataclass(frozen=True, slots=True)
class FoundTree:
    """A manifest, and when its receipt was written, if it has one."""

    named: Named
    receipt: layout.Key | None
    at: datetime


class TreeFiler:
    """Files trees one after the other, and the frames of each abreast."""

    def __init__(
        self, database: Database, store: ObjectStore, report: Report, barred: Barred = NOTHING_BARRED
    ) -> None:
        self._database = database
        self._store = store
        self._report = report
        self._barred = barred

    async def file(self, found: FoundTree) -> None:
        """File one tree; what is wrong with it is doubted."""
        named = found.named
        if self._barred.tree(named.project, named.digest.raw):
            self._report.doubt(named.key, PURGED)
            return
        trees = Trees(self._database, self._store, Standing(found.at))
        try:
            row, _ = await trees.put_manifest(named.project, named.digest, self._store.open(named.key))  # 1
        except (InvalidInputError, LimitExceededError, CorruptedError) as error:
            self._report.doubt(named.key, error.message)
            return
        if found.receipt is None or row.state is TreeState.PRESENT:
            self._report.counts["trees without their bytes"] += found.receipt is None
            return
        try:
            vouched, laid = await self._laid(named)  # 2
            await self._locate(named, laid, found.at)  # 3
            await self._check(named, trees, found.at, vouched)  # 4
        except UnavailableError:
            raise  # that nothing was read says nothing about the tree
        except CustodyError as error:
            self._report.doubt(found.receipt, error.message)

    async def _laid(self, named: Named) -> tuple[Digest, list[LaidFrame]]:
        vouched = _named_by(await tree_receipts.read(self._store, named.project, named.digest))
        key = layout.tree_layout(named.project, vouched)
        if (await self._store.size(key) or 0) > MAX_MANIFEST_BYTES:
            raise CorruptedError(TOO_LARGE)
        raw = await self._store.read(key)
        text = await asyncio.to_thread(layout_reading.unfolded, raw)
        if Digest.of(text) != vouched:
            raise CorruptedError("the stored layout was changed")
        return vouched, await asyncio.to_thread(layout_reading.frames_of, text, named.digest)

    async def _locate(self, named: Named, laid: Sequence[LaidFrame], at: datetime) -> None:
        contents = [
            entry async for some in entries(self._store, named.project, named.digest) for entry in some
        ]
        known = await self._known(named.project, contents)

        async def looked(some: list[LaidFrame]) -> list[Location]:
            return await self._look_into(named.project, some, contents)

        fresh = _fresh(laid, contents, known)
        async for found in abreast(chunked(fresh, size=_FRAMES_AT_ONCE), looked):
            await self._write(named.project, laid, found, at)

    async def _known(self, project: str, contents: Sequence[Entry]) -> Mapping[bytes, Location]:
        async with self._database.reading() as connection:
            return await locations.locate(
                connection, project, list({entry.digest for entry in contents if entry.is_small})
            )

    async def _look_into(
        self, project: str, some: Sequence[LaidFrame], contents: Sequence[Entry]
    ) -> list[Location]:
        found: list[Location] = []
        for frame in some:
            pack = layout.blob(project, Digest.sha256(frame.pack))
            raw = await self._store.read(pack, start=frame.offset, length=frame.length)
            found += await asyncio.to_thread(_seen_in, frame, raw, contents)
        return [place for place in found if not self._barred.blob(project, place.digest)]

    async def _write(
        self, project: str, laid: Sequence[LaidFrame], found: Sequence[Location], at: datetime
    ) -> None:
        sizes = {frame.pack: frame.pack_size for frame in laid}
        async with self._database.writing() as connection:
            for pack in sorted({place.pack for place in found}):
                mine = [place for place in found if place.pack == pack]
                seen = SeenPack(Digest.sha256(pack), sizes[pack], _NO_CLAIM)
                await locations.add_pack(connection, project, seen, mine, at=to_milliseconds(at))

    async def _check(self, named: Named, trees: Trees, at: datetime, vouched: Digest) -> None:
        await trees.propose(named.project, named.digest, [])
        checker = Checker(self._database, self._store, Standing(at))
        jobs = await self._job(named, at)
        for job in jobs:
            await checker.check(job)
        row = await trees.find(named.project, named.digest)
        if row.state is TreeState.PRESENT:
            self._report.counts["trees"] += 1
            if row.layout != vouched:
                raise CorruptedError("the receipt names another layout than the one that was found right")
        elif row.state is not TreeState.CHECKING:
            raise CorruptedError(f"a worker vouched for the tree, but {row.reason}")

    async def _job(self, named: Named, at: datetime) -> list[Job]:
        """The job of checking the tree. Nobody else works meanwhile: whose lease it is was killed."""
        async with self._database.writing() as connection:
            return await queue.take_over(
                connection,
                named.project,
                CHECK,
                named.digest.hex,
                owner="reindex",
                until=to_milliseconds(at),
            )


def _named_by(receipt: TreeReceipt | None) -> Digest:
    """The layout that `receipt` names; it may be gone since its name was seen."""
    if receipt is None:
        raise CorruptedError("the receipt of the tree is gone")
    return receipt.layout


async def _fresh(
    laid: Sequence[LaidFrame], contents: Sequence[Entry], known: Mapping[bytes, Location]
) -> AsyncIterator[LaidFrame]:
    """The frames in which not every content is known to lie."""
    for frame in laid:
        inside = [contents[number].digest for number, _ in frame.inside if number < len(contents)]
        places = [known.get(digest) for digest in inside]
        if any(
            place is None or (place.pack, place.frame_offset) != (frame.pack, frame.offset)
            for place in places
        ):
            yield frame


def _seen_in(frame: LaidFrame, raw: bytes, contents: Sequence[Entry]) -> list[Location]:
    """The contents of `frame` that are right; those that are not lie nowhere."""
    try:
        content = compression.decode(raw, size=frame.size)
    except (InvalidInputError, LimitExceededError):
        return []
    found: list[Location] = []
    for number, start in frame.inside:
        entry = contents[number] if number < len(contents) else None
        if entry is None or not entry.is_small:
            continue
        piece = content[start : start + entry.size]
        if hashlib.sha256(piece).digest() == entry.digest:
            linkable = entry.size <= MAX_TARGET and b"\0" not in piece
            place = (frame.pack, frame.offset, frame.length, frame.size, start)
            found.append(Location(entry.digest, *place, entry.size, linkable))
    return found
