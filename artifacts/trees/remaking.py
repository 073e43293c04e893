"""Making the layout of a present tree anew, and its receipt, where one of them was damaged.

It comes about as at first (`artifacts.trees.checking`, steps 3 to 5): the manifest is read
strictly, every content is looked up where a worker has seen it, and over the same packs a tree
has one layout. Where the contents were packed anew since, it is another one, and the row and
the receipt say so.
"""

from __future__ import annotations

import asyncio
import contextlib

from artifacts import layout as keys
from artifacts import receipts as blob_receipts
from artifacts.clock import Clock
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError
from artifacts.queries import locations, repacking, trees
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, layout, receipts
from artifacts.trees.keeping import keep_layout
from artifacts.trees.placing import Placing, moved
from artifacts.trees.reading import entries, resting
from artifacts.trees.receipts import TreeReceipt
from artifacts.trees.states import TreeRow, TreeState, Verdict


async def is_whole(store: ObjectStore, project: str, row: TreeRow) -> bool:
    """Whether the layout that `row` names rests as it says; where it names none, none is needed."""
    if row.state is not TreeState.PRESENT or row.layout is None or row.layout_stored is None:
        return True
    with contextlib.suppress(CorruptedError, NotFoundError):
        async for _ in resting(store, keys.tree_layout(project, row.layout), row.layout_stored):
            pass
        return True
    return False


class Remaker:
    """Makes layouts and receipts of trees anew; safe to repeat, safe to race."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def mend(self, project: str, tree: Digest) -> bool:
        """Make the layout of `tree` anew if it is damaged; return whether it is right now."""
        async with self._database.reading() as connection:
            row = await trees.find_tree(connection, project, tree)
        if row is None or await is_whole(self._store, project, row):
            return True
        return await self.remake(project, tree)

    async def remake(self, project: str, tree: Digest) -> bool:
        """Write layout and receipt of a present tree again; False where that cannot be done.

        Raises:
            GaveWayError: some of it was packed anew meanwhile; the same again goes better.
        """
        async with self._database.reading() as connection:
            row = await trees.find_tree(connection, project, tree)
        if row is None or row.state is not TreeState.PRESENT:
            return False
        try:
            placing = await self._placed(project, tree)
        except (CorruptedError, NotFoundError):
            return False
        if placing.wrong is not None or placing.missing or not await self._vouched(placing):
            return False
        verdict = await self._laid(project, tree, placing)
        async with self._database.writing() as connection:
            laid = await repacking.lay(connection, project, row, verdict, placing.parts)
            if laid and not await placing.stays(connection):
                raise moved()
        return laid

    async def _placed(self, project: str, tree: Digest) -> Placing:
        placing = Placing(project)
        async for some in entries(self._store, project, tree):
            async with self._database.reading() as connection:
                await placing.add(connection, some)
        return placing

    async def _vouched(self, placing: Placing) -> bool:
        """Whether a worker vouches for the large contents, which lie in no frame."""
        for raw, size in placing.blobs.items():
            told = await blob_receipts.read(
                self._store, placing.project, Digest.sha256(raw), kind=blob_receipts.WORKER
            )
            if told is None or not told.holds or told.size != size:
                return False
        return True

    async def _laid(self, project: str, tree: Digest, placing: Placing) -> Verdict:
        """The layout, then the receipt."""
        packs = sorted({frame.pack for frame in placing.frames})
        async with self._database.reading() as connection:
            sizes = dict(await locations.pack_sizes(connection, project, packs))
        if len(sizes) < len(packs):
            raise moved()
        text = await asyncio.to_thread(lambda: b"".join(layout.write(tree, placing.frames, sizes)))
        written, digest = await asyncio.to_thread(compression.encode, text), Digest.of(text)
        stored, size = await keep_layout(self._store, project, digest, written, at=self._clock.now())
        receipt = TreeReceipt(project, tree, digest, placing.entries, placing.size)
        await receipts.rewrite(self._store, receipt, at=self._clock.now())
        return Verdict(TreeState.PRESENT, layout=digest, layout_stored=stored, layout_stored_size=size)
