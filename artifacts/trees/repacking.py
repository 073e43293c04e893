"""Packing anew: what is still used of packs that fray is put into new ones, and what is purged into none.

1. What is taken along is read from the old packs; each content is hashed.
2. The new packs are published, and a worker's receipt for each, read back from where it lies.
3. One transaction puts the new places of everything in place of the old ones. The old packs
   are no places for contents from then on: whoever placed a tree in one meanwhile finds out.
4. Each present tree that was made of them is laid out anew (`artifacts.trees.laying`).
5. The old packs are removed once no tree uses them: after the grace period, so that whoever
   reads by an old layout can end; or at once, where something in them was purged.

A crash leaves packs that nobody uses, or trees whose old layout leads to old packs that are
still there; the queue remembers steps 4 and 5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout as keys
from artifacts import receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content
from artifacts.control import BLOB
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, GaveWayError, NotFoundError
from artifacts.limits import MAX_PACK_BYTES
from artifacts.queries import locks, repacking
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.repacking import Move
from artifacts.removal import Removals, Standing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.fraying import FrayedPack, Fraying
from artifacts.trees.moving import Moving, NewPack
from artifacts.trees.packs import Location

_PACKS_AT_ONCE: Final = 16
"""Packs whose places are held in memory together."""


@dataclass(slots=True)
class Repacked:
    """What became of packs."""

    packs: int = 0
    made: int = 0
    before: int = 0
    """Bytes of the packs that are no longer needed."""
    after: int = 0
    """Bytes of those in their place."""
    lost: int = 0
    """Contents that were damaged where they lay."""
    damaged: list[Digest] = field(default_factory=list)
    """Packs that were left alone: they, or manifests that use them, are not what their digest says."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Which contents of packs are taken along."""

    only: Collection[bytes] | None = None
    """These alone; without, everything that lies in them."""
    known: frozenset[Digest] | None = None
    """The trees by which `only` was found: one more, and it has to be found again."""
    quiet_before: int | None = None
    """Packs that were asked for since stay as they are."""
    without: Digest | None = None
    """Not this one, which was purged: the old packs go at once, and go for good."""

    def of(self, places: Sequence[Location], pack: bytes) -> list[Location]:
        """Those of `places` that are taken along out of `pack`."""
        purged = None if self.without is None else self.without.raw
        return [
            place
            for place in places
            if place.pack == pack
            and place.digest != purged
            and (self.only is None or place.digest in self.only)
        ]


@dataclass(slots=True)
class _Batch:
    """Packs that are packed anew in one transaction."""

    project: str
    taking: Taking
    moving: Moving = field(default_factory=Moving)
    standings: dict[Digest, Standing] = field(default_factory=dict)
    """How the digests of the new packs stood before they were published."""


class Repacker:
    """Packs anew; every call may be repeated and run beside others."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock, *, grace_ms: int) -> None:
        """`grace_ms`: how long packs stay that nothing uses any more."""
        self._database = database
        self._store = store
        self._clock = clock
        self._grace_ms = grace_ms
        self._removals = Removals(database, store, clock)
        self._content = Content(database, store, clock)
        self._fraying = Fraying(database, store)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def frayed(self, project: str) -> list[FrayedPack]:
        """What `compact` would pack anew."""
        return await self._fraying.packs(project, quiet_before=self._now() - self._grace_ms)

    async def compact(self, project: str) -> Repacked:
        """Pack anew, of the packs of `project`, those of which less than half is used.

        Raises:
            GaveWayError: others changed what the packs are used for; the same again goes better.
        """
        done = Repacked()
        quiet_before = self._now() - self._grace_ms
        frayed = await self.frayed(project)
        for start in range(0, len(frayed), _PACKS_AT_ONCE):
            some = [pack.digest.raw for pack in frayed[start : start + _PACKS_AT_ONCE]]
            try:
                known, used = await self._fraying.used_of(project, some)
            except (CorruptedError, NotFoundError):
                # Of a manifest that is damaged nobody knows what it uses.
                done.damaged += map(Digest.sha256, some)
                continue
            await self._some(project, some, Taking(used, frozenset(known), quiet_before), done)
        return done

    async def purge(self, project: str, packs: Sequence[bytes], content: Digest) -> Repacked:
        """Pack `packs` anew without `content`; of whatever else lies in them everything is kept."""
        done = Repacked()
        for start in range(0, len(packs), _PACKS_AT_ONCE):
            some = packs[start : start + _PACKS_AT_ONCE]
            await self._some(project, some, Taking(without=content), done)
        return done

    async def _some(self, project: str, packs: Sequence[bytes], taking: Taking, done: Repacked) -> None:
        async with self._database.reading() as connection:
            lying = await repacking.lying_in(connection, project, packs)
        batch = _Batch(project, taking)
        for pack in packs:
            content = await self._read(project, pack, whole=taking.without is None)
            if content is None:
                done.damaged.append(Digest.sha256(pack))
                continue
            new = await asyncio.to_thread(_taken, batch.moving, pack, content, taking.of(lying, pack))
            await self._publish(batch, new)
            if batch.standings:
                await self._end(batch, done)
                batch = _Batch(project, taking)
        await self._end(batch, done)

    async def _read(self, project: str, pack: bytes, *, whole: bool) -> bytes | None:
        """Step 1; None where a pack that has to be `whole` is not."""
        key = keys.blob(project, Digest.sha256(pack))
        size = await self._store.size(key)
        if size is None or size > MAX_PACK_BYTES:
            return None if whole else b""
        content = await self._store.read(key)
        if whole and (await asyncio.to_thread(Digest.of, content)).raw != pack:
            return None
        return content

    async def _publish(self, batch: _Batch, new: Sequence[NewPack]) -> None:
        """Step 2."""
        for pack in new:
            digest = pack.claim.digest
            batch.standings[digest] = await self._removals.standing(batch.project, BLOB, digest)
            staged = await self._store.stage(_once(pack.content), at=self._clock.now(), limit=MAX_PACK_BYTES)
            await self._content.publish(batch.project, staged)
            if not (await self._content.read_back(batch.project, digest)).holds:
                raise CorruptedError("a new pack does not lie there as it was written", digest=str(digest))

    async def _end(self, batch: _Batch, done: Repacked) -> None:
        """Step 3, and what follows on the queue."""
        if not batch.moving.old:
            return
        await self._publish(batch, await asyncio.to_thread(lambda: list(batch.moving.close())))
        moved = await asyncio.to_thread(batch.moving.outcome)
        async with self._database.writing() as connection:
            sizes = await self._begin(connection, batch, moved)
            await self._move(connection, batch, moved)
        done.packs += len(moved.old)
        done.made += len(moved.new)
        done.before += sum(sizes.values())
        done.after += sum(pack.size for pack in moved.new)
        done.lost += len(batch.moving.lost)

    async def _begin(self, connection: AsyncConnection, batch: _Batch, moved: Move) -> dict[bytes, int]:
        """The sizes of the old packs, which nobody removes now, nor the new ones."""
        project = batch.project
        new = [pack.digest for pack in moved.new]
        # Nobody looks into an old one meanwhile, or is told that something lies in it.
        await locks.alone(connection, project, map(Digest.sha256, moved.old))
        await locks.beside(connection, project, new)
        for digest in new:
            await self._removals.check(connection, project, BLOB, digest, batch.standings[digest])
        await repacking.lock_packing(connection, project, to_purge=False)
        sizes = await repacking.lock_packs(connection, project, moved.old)
        if len(sizes) < len(moved.old):
            raise GaveWayError("somebody else packed them anew")
        return sizes

    async def _move(self, connection: AsyncConnection, batch: _Batch, moved: Move) -> None:
        project, taking, now = batch.project, batch.taking, self._now()
        using = await repacking.trees_over(connection, project, moved.old)
        if taking.known is not None and not taking.known.issuperset(using):
            raise GaveWayError("another tree uses the packs by now")
        if taking.quiet_before is not None:
            old = await repacking.known_packs(connection, project, moved.old)
            if any(pack.quiet_since >= taking.quiet_before for pack in old):
                raise GaveWayError("somebody asked for what lies in the packs")
        for pack in moved.new:
            await receipt_queries.add_receipt(
                connection, project, pack.digest, kind=receipts.WORKER, size=pack.size, at=now
            )
        await repacking.move(connection, project, moved, at=now)
        laying = [repacking.laying(tree) for tree in using]
        await repacking.follow(connection, project, laying, available_at=now)
        left = [repacking.leaving(Digest.sha256(pack), taking.without) for pack in moved.old]
        later = now if taking.without is not None else now + self._grace_ms
        await repacking.follow(connection, project, left, available_at=later)


def _taken(moving: Moving, pack: bytes, content: bytes, places: Sequence[Location]) -> list[NewPack]:
    return list(moving.take(pack, content, places))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
