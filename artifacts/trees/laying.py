"""Laying a present tree out anew, after what it is made of was packed anew.

The new layout is written beside the old one, then the receipt in the place of the old one,
then the row: at every moment the layout that the row names leads to every content. A tree of
which something was purged is no longer present; its receipt goes before its row says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from artifacts import layout as keys
from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError, UnavailableError
from artifacts.labour import LEASE_MS
from artifacts.queries import locations, queue, removals, repacking, trees
from artifacts.queries.queue import Job
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, layout, receipts
from artifacts.trees.keeping import keep_layout
from artifacts.trees.manifest import Entry
from artifacts.trees.placing import Placing, moved
from artifacts.trees.reading import entries
from artifacts.trees.receipts import TreeReceipt
from artifacts.trees.states import PURGED, TreeRow, TreeState, Verdict

_DAMAGED: Final = "contents of it were damaged where they lay beside others that were purged"
_ENTRIES_AT_ONCE: Final = 10_000


class Layouts:
    """Lays trees out by what the index says of their contents; safe to repeat, safe to race."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def renew(self, job: Job, tree: Digest) -> None:
        """Lay out `tree`, which `job` is about, as its contents lie now.

        Raises:
            GaveWayError: some of it was packed anew meanwhile; the same again goes better.
            UnavailableError: the job was lost to another worker.
        """
        async with self._database.reading() as connection:
            row = await trees.find_tree(connection, job.project, tree)
        placing = None
        if row is not None and row.state is TreeState.PRESENT:
            placing = await self._place(job, row)
        if row is None or placing is None:
            await self._complete(job)
        elif placing.missing or placing.wrong is not None:
            await self._miss(job, row, placing)
        else:
            await self._write(job, row, placing)

    async def _place(self, job: Job, row: TreeRow) -> Placing | None:
        """Where everything of the tree lies; None where its manifest does not say what it is."""
        placing = Placing(job.project)
        waiting: list[Entry] = []
        try:
            async for some in entries(self._store, job.project, row.digest):
                waiting += some
                if len(waiting) >= _ENTRIES_AT_ONCE:
                    await self._place_some(job, placing, waiting)
                    waiting = []
        except (CorruptedError, NotFoundError):
            return None
        await self._place_some(job, placing, waiting)
        return placing

    async def _place_some(self, job: Job, placing: Placing, some: Sequence[Entry]) -> None:
        async with self._database.reading() as connection:
            await placing.add(connection, some)
        await self._keep(job)

    async def _keep(self, job: Job) -> None:
        async with self._database.writing() as connection:
            if not await queue.renew(connection, job, until=self._now() + LEASE_MS):
                raise UnavailableError("another worker lays this tree out now")

    async def _complete(self, job: Job) -> None:
        async with self._database.writing() as connection:
            await queue.complete(connection, job)

    async def _miss(self, job: Job, row: TreeRow, placing: Placing) -> None:
        """What was purged is missing for good. Of anything else the old layout knows more than the index."""
        missing = [bytes.fromhex(one) for one in placing.missing]
        async with self._database.reading() as connection:
            purged = await removals.barred(connection, job.project, missing)
        if purged:
            await self.leave(job.project, row, missing=sorted(purged))
        await self._complete(job)

    async def leave(self, project: str, row: TreeRow, *, missing: Sequence[bytes] = ()) -> None:
        """Say of a present tree that it is so no longer: its receipt goes first."""
        await self._store.delete(keys.receipt(project, row.digest, receipts.TREE))
        verdict = Verdict(
            TreeState.INCOMPLETE, PURGED if missing else _DAMAGED, tuple(raw.hex() for raw in missing)
        )
        async with self._database.writing() as connection:
            await repacking.lay(connection, project, row, verdict, ())

    async def _write(self, job: Job, row: TreeRow, placing: Placing) -> None:
        """The layout, then the receipt, then the row."""
        project, tree = job.project, row.digest
        packs = sorted({frame.pack for frame in placing.frames})
        async with self._database.reading() as connection:
            sizes = dict(await locations.pack_sizes(connection, project, packs))
        if len(sizes) < len(packs):
            raise moved()
        written, digest = await asyncio.to_thread(_compressed, tree, placing, sizes)
        stored, size = await keep_layout(self._store, project, digest, written, at=self._clock.now())
        await self._keep(job)
        receipt = TreeReceipt(project, tree, digest, placing.entries, placing.size)
        await receipts.rewrite(self._store, receipt, at=self._clock.now())
        verdict = Verdict(
            TreeState.PRESENT,
            layout=digest,
            layout_stored=stored,
            layout_stored_size=size,
        )
        async with self._database.writing() as connection:
            laid = await repacking.lay(connection, project, row, verdict, placing.parts)
            if laid and not await placing.stays(connection):
                raise moved()
            if not await queue.complete(connection, job):
                raise UnavailableError("another worker lays this tree out now")


def _compressed(tree: Digest, placing: Placing, sizes: dict[bytes, int]) -> tuple[bytes, Digest]:
    text = b"".join(layout.write(tree, placing.frames, sizes))
    return compression.encode(text), Digest.of(text)
