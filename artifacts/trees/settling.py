"""What follows from packing anew, off the queue: trees are laid out anew, then old packs go.

An old pack that something uses again by then (a client proposed it anew, somebody names it)
stays. One in which something was purged goes at once and for good; a tree that cannot do
without it is no longer present.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.queries import locks, queue, removals, repacking, trees
from artifacts.queries.queue import Job
from artifacts.queries.repacking import REPACK
from artifacts.removal import Removals, Thing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.laying import Layouts

PACKED_ANEW: Final = "packed-anew"
PURGED: Final = "purged"
_AGAIN_MS: Final = 200


async def _nothing() -> None:
    """Nothing holds a removal up."""


class Settler:
    """Works on the queue `REPACK`; safe to repeat, safe to race."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        *,
        grace_ms: int,
        check: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """`grace_ms`: how long a pack stays after it was last asked for.

        `check` raises where the index is older than the bucket, and does not know what is needed.
        """
        self._check = check
        self._database = database
        self._clock = clock
        self._grace_ms = grace_ms
        self._removals = Removals(database, store, clock)
        self._layouts = Layouts(database, store, clock)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def work(self, job: Job) -> None:
        """Do what `job` says, or give it back until that can be done."""
        what, hex_, *purged = job.topic.split("/")
        digest = Digest("sha256", hex_)
        if what == "tree":
            await self._layouts.renew(job, digest)
        elif purged:
            await self._remove_purged(job, digest, Digest("sha256", purged[0]))
        else:
            await self._remove_unused(job, digest)

    async def _remove_unused(self, job: Job, pack: Digest) -> None:
        await self._check()
        project, now = job.project, self._now()
        async with self._database.writing() as connection:
            await locks.alone(connection, project, [pack])
            quiet_since = await repacking.named_at(connection, project, pack)
            if quiet_since + self._grace_ms > now:
                await queue.postpone(connection, job, until=quiet_since + self._grace_ms)
                return
            if await removals.is_part(connection, project, pack):
                # A tree is still to be laid out anew, or cannot be.
                await queue.postpone(connection, job, until=now + self._grace_ms)
                return
            if not await self._is_used(connection, project, pack):
                thing = Thing(project, BLOB, pack)
                await self._removals.decide(connection, thing, reason=PACKED_ANEW, now=now)
            await queue.complete(connection, job)

    async def _is_used(self, connection: AsyncConnection, project: str, pack: Digest) -> bool:
        if await repacking.lock_packs(connection, project, [pack.raw]):
            return True
        return bool(await repacking.kept_for_themselves(connection, project, [pack.raw]))

    async def _remove_purged(self, job: Job, pack: Digest, content: Digest) -> None:
        """First the trees that could not be laid out without it: what else lay in it was damaged.

        One in which contents are placed again was looked into since, and what was purged is not
        in it: what was kept may come to lie in the same pack as before.
        """
        project = job.project
        async with self._database.reading() as connection:
            clean = await repacking.lock_packs(connection, project, [pack.raw])
            using = [] if clean else await repacking.trees_over(connection, project, [pack.raw])
            stuck = [tree for tree in using if not await self._is_due(connection, project, tree)]
            rows = [await trees.find_tree(connection, project, tree) for tree in stuck]
        for row in rows:
            if row is not None:
                await self._layouts.leave(project, row)
        async with self._database.writing() as connection:
            await locks.alone(connection, project, [pack])
            if not await repacking.lock_packs(connection, project, [pack.raw]):
                if await removals.is_part(connection, project, pack):
                    await queue.postpone(connection, job, until=self._now() + _AGAIN_MS)
                    return
                await self._removals.decide(
                    connection,
                    Thing(project, BLOB, pack),
                    reason=PURGED,
                    detail=packed_with(content),
                    barred=True,
                    now=self._now(),
                )
            await queue.complete(connection, job)

    async def _is_due(self, connection: AsyncConnection, project: str, tree: Digest) -> bool:
        return await queue.is_queued(connection, project, REPACK, repacking.laying(tree))


def packed_with(content: Digest) -> str:
    """Why a pack is barred that held `content`."""
    return f"a pack that held {content}"
