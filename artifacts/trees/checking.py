"""Checking a tree, in the worker: it counts as present once every byte of it was seen here.

For each tree on its queue the worker

1. takes each claim about a pack, and refuses what cannot be right without the bytes;
2. reads the pack from this project, hashes it, decodes every frame and hashes every file;
   only then are the locations written, all of one pack or none;
3. reads the manifest object again, strictly, and holds it against the tree's digest;
4. looks up every content of it: in a frame that was seen, or, if large, as a blob that a
   worker has read back; sizes must agree, and targets of links must be some;
5. writes the layout, then the receipt, then the row.

Of a tree that is present already nothing is checked again, but that its layout is whole.
A right claim of one caller counts beside a wrong one of another. Every step may be
repeated: a crash leaves locations that are right, and a tree that is still to be checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout as keys
from artifacts import receipts as blob_receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content
from artifacts.control import BLOB
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import (
    AwaitingBytesError,
    CorruptedError,
    EvidenceError,
    InvalidInputError,
    NotFoundError,
    PurgedError,
    UnavailableError,
)
from artifacts.labour import LEASE_MS
from artifacts.limits import MAX_PACK_BYTES
from artifacts.queries import locations, queue, removals, repacking, trees
from artifacts.queries import receipts as blob_rows
from artifacts.queries.locations import SeenPack
from artifacts.queries.queue import Job
from artifacts.removal import Removals
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, layout, packs, receipts
from artifacts.trees.claims import PackClaim
from artifacts.trees.keeping import keep_layout
from artifacts.trees.manifest import Entry
from artifacts.trees.placing import Placing, moved
from artifacts.trees.reading import entries
from artifacts.trees.receipts import TreeReceipt
from artifacts.trees.remaking import Remaker
from artifacts.trees.states import PURGED, TreeState, Verdict

_AGAIN_MS = 200
_ENTRIES_AT_ONCE = 10_000


class Checker:
    """Checks trees; safe to repeat, safe to race."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._due = Content(database, store, clock).to_be_read_back
        self._removals = Removals(database, store, clock)
        self._remaker = Remaker(database, store, clock)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def check(self, job: Job) -> None:
        """Check the tree that `job` names, or give the job back while blobs are still to be read."""
        tree = Digest("sha256", job.topic)
        async with self._database.reading() as connection:
            known = await trees.find_tree(connection, job.project, tree)
            claims = await trees.claim_ids(connection, job.project, tree)
        if known is None or known.state is TreeState.PRESENT:
            await self._remaker.mend(job.project, tree)
            await self._end(job, tree, claims, None)
            return
        refusals = [await self._try_claim(job, tree, claim) for claim in claims]
        why = next((refusal for refusal in refusals if refusal is not None), None)
        try:
            placing = await self._place(job, tree)
        except (CorruptedError, NotFoundError) as error:
            await self._end(job, tree, claims, Verdict(TreeState.REFUSED, error.message))
            return
        if await self._waits(job, placing):
            await self._postpone(job)
            return
        verdict = await self._verdict(job, tree, placing, why)
        await self._end(job, tree, claims, verdict, placing)

    async def _try_claim(self, job: Job, tree: Digest, id_: Digest) -> str | None:
        """Steps 1 and 2 for one claim; why it is refused, or None."""
        try:
            await self._take_claim(job, tree, id_)
        except (InvalidInputError, EvidenceError, NotFoundError, PurgedError) as error:
            return error.message
        return None

    async def _take_claim(self, job: Job, tree: Digest, id_: Digest) -> None:
        async with self._database.reading() as connection:
            kept = await trees.find_claim(connection, job.project, tree, id_)
            if kept is None:
                return
            claim = await asyncio.to_thread(PackClaim.from_bytes, kept.body)
            if await self._was_right(connection, job.project, claim, id_):
                return
        standing = await self._removals.standing(job.project, BLOB, claim.digest)
        found = await self._look_into(job.project, claim)
        seen = SeenPack(claim.digest, claim.size, id_)
        async with self._database.writing() as connection:
            await self._keep(connection, job)
            if await repacking.purged_in(connection, job.project, claim):
                raise PurgedError("the pack holds contents that were removed for good")
            await self._removals.check(connection, job.project, BLOB, claim.digest, standing)
            if await blob_rows.stored_size(connection, job.project, claim.digest) is None:
                raise NotFoundError("the pack is not stored here", pack=str(claim.digest))
            await locations.add_pack(connection, job.project, seen, found, at=self._now())

    async def _was_right(
        self, connection: AsyncConnection, project: str, claim: PackClaim, id_: Digest
    ) -> bool:
        """Whether there is nothing to look for: a content may have lain in another pack that is gone since."""
        if not await locations.found_right(connection, project, claim.digest, id_):
            return False
        contents = [file.digest for frame in claim.frames for file in frame.files]
        return len(await locations.located(connection, project, contents)) == len(contents)

    async def _look_into(self, project: str, claim: PackClaim) -> list[packs.Location]:
        """Step 2: the pack as it lies in this project, and in no other."""
        key = keys.blob(project, claim.digest)
        size = await self._store.size(key)
        if size is None:
            raise NotFoundError("the pack is not stored here", pack=str(claim.digest))
        if size != claim.size or size > MAX_PACK_BYTES:
            raise EvidenceError("the pack is not as long as its frames", pack=str(claim.digest))
        content = await self._store.read(key)
        return await asyncio.to_thread(packs.located, content, claim)

    async def _place(self, job: Job, tree: Digest) -> Placing:
        """Steps 3 and 4."""
        placing = Placing(job.project)
        waiting = []
        async for some in entries(self._store, job.project, tree):
            waiting += some
            if len(waiting) >= _ENTRIES_AT_ONCE:
                await self._place_some(job, placing, waiting)
                waiting = []
        await self._place_some(job, placing, waiting)
        return placing

    async def _place_some(self, job: Job, placing: Placing, some: Sequence[Entry]) -> None:
        async with self._database.reading() as connection:
            await placing.add(connection, some)
        # A million entries take longer than a lease.
        async with self._database.writing() as connection:
            await self._keep(connection, job)

    async def _keep(self, connection: AsyncConnection, job: Job) -> None:
        if not await queue.renew(connection, job, until=self._now() + LEASE_MS):
            raise UnavailableError("another worker checks this tree now; what was seen so far is right")

    async def _waits(self, job: Job, placing: Placing) -> bool:
        """Step 4 for large blobs: whether one is still to be read back.

        Their receipts are read where they lie: a row of the index could be anybody's.
        """
        waits = False
        for digest, size in placing.blobs.items():
            named = Digest.sha256(digest)
            try:
                receipt = await blob_receipts.workers_word(self._store, job.project, named, due=self._due)
            except AwaitingBytesError:
                waits = True
                continue
            if receipt is not None and not (receipt.holds and receipt.size == size):
                placing.wrong = placing.wrong or f"the blob {named} is damaged, or has another size"
            elif receipt is None and await self._store.size(keys.blob(job.project, named)) is None:
                placing.missing[named.hex] = None
            elif receipt is None:
                waits = True
        return waits and placing.wrong is None and not placing.missing

    async def _verdict(self, job: Job, tree: Digest, placing: Placing, refusal: str | None) -> Verdict:
        if placing.wrong is not None:
            return Verdict(TreeState.REFUSED, placing.wrong)
        if placing.missing:
            missing = tuple(placing.missing)
            if refusal is not None:
                return Verdict(TreeState.REFUSED, refusal, missing)
            return Verdict(TreeState.INCOMPLETE, await self._why_missing(job.project, missing), missing)
        return await self._vouch(job.project, tree, placing)

    async def _why_missing(self, project: str, missing: Sequence[str]) -> str:
        async with self._database.reading() as connection:
            if await removals.barred(connection, project, [bytes.fromhex(one) for one in missing]):
                return PURGED
        return "contents of it are missing"

    async def _vouch(self, project: str, tree: Digest, placing: Placing) -> Verdict:
        """Step 5: the layout, then the receipt."""
        async with self._database.reading() as connection:
            used = list({frame.pack for frame in placing.frames})
            sizes = await locations.pack_sizes(connection, project, used)
        if len(sizes) < len(used):
            raise moved()
        written, digest = await asyncio.to_thread(_compressed_layout, tree, placing, dict(sizes))
        stored, size = await keep_layout(self._store, project, digest, written, at=self._clock.now())
        receipt = TreeReceipt(project, tree, digest, placing.entries, placing.size)
        await receipts.write(self._store, receipt, at=self._clock.now())
        return Verdict(
            TreeState.PRESENT,
            layout=digest,
            layout_stored=stored,
            layout_stored_size=size,
        )

    async def _end(
        self,
        job: Job,
        tree: Digest,
        claims: list[Digest],
        verdict: Verdict | None,
        placing: Placing | None = None,
    ) -> None:
        """Write the row, unless the job was lost; begin again where claims came meanwhile."""
        async with self._database.writing() as connection:
            if verdict is not None:
                # First, so that a claim that is just being added waits for this, or this for it.
                await trees.end_check(connection, job.project, tree, verdict, at=self._now())
            await self._keep(connection, job)
            await trees.drop_claims(connection, job.project, tree, claims)
            later = await trees.claim_ids(connection, job.project, tree)
            if later and await trees.begin_check(connection, job.project, tree, at=self._now()):
                await queue.postpone(connection, job, until=self._now())
                return
            await trees.drop_claims(connection, job.project, tree, later)
            if placing is not None and verdict is not None and verdict.state is TreeState.PRESENT:
                if not await placing.stays(connection):
                    raise moved()
                await trees.add_parts(connection, job.project, tree, placing.parts)
            await queue.complete(connection, job)

    async def _postpone(self, job: Job) -> None:
        async with self._database.writing() as connection:
            await queue.postpone(connection, job, until=self._now() + _AGAIN_MS)


def _compressed_layout(tree: Digest, placing: Placing, sizes: dict[bytes, int]) -> tuple[bytes, Digest]:
    text = b"".join(layout.write(tree, placing.frames, sizes))
    return compression.encode(text), Digest.of(text)
