"""Removing bytes so that nothing that was acknowledged is ever lost by it (`docs/adr/0010`).

A thing is removed in three steps:

1. *Decided*, in one transaction: under the lock of its digest it is looked at once more,
   then its tombstone says `deleting`, and the rows that vouch for its bytes go. From here on
   the index says that the bytes are not here.
2. *Deleted*: receipts first, then bytes. A DELETE is sent once; one whose answer was lost may
   arrive late, and must not meet bytes that came again.
3. *Gone*: once nothing lies there, and no DELETE that was sent can still be under way, the
   tombstone says so, and the signer is asked to sign it.

Whoever writes bytes reads how the digest stands before it publishes them, is refused for the
moment while they are being removed, and looks again, under the same lock, in the transaction
that writes the row. Where a removal was decided between the two, the write is not
acknowledged. A crash anywhere leaves a job that does the same again, harmlessly.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB, CONTROL, TREE, RemovalName
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import BeingRemovedError, PurgedError, UnavailableError
from artifacts.labour import LEASE_MS
from artifacts.layout import Key
from artifacts.queries import locks, queue, removals
from artifacts.queries.queue import Job
from artifacts.queries.removals import NEVER_REMOVED, RemovalState, Standing, Thing
from artifacts.storage.protocol import ObjectStore

__all__ = ["NEVER_REMOVED", "REMOVE", "Removals", "Standing", "Thing"]

REMOVE: Final = "remove"
"""The queue of things to be removed; a topic is kind and hex, and the hex of a tree's layout."""
UNNAMED: Final = "unnamed"
"""The reason of what nobody named: garbage."""
RULE: Final = "rule"
"""The reason of what a rule of the operator lets go."""
_LOOKED_AT: Final = {BLOB: "hash", TREE: "tree"}
"""The queues of things that a worker is still to look at."""
_AGAIN_MS: Final = 200


class Removals:
    """The delete protocol, for those who remove and for those who write."""

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, *, late_seconds: float = 0
    ) -> None:
        """`late_seconds`: how long after it was sent a DELETE may still arrive."""
        self._database = database
        self._store = store
        self._clock = clock
        self._late_ms = int(late_seconds * 1000)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def standing(self, project: str, kind: str, digest: Digest) -> Standing:
        """How `digest` stands; whoever writes asks this before it publishes, and then `check`.

        Raises:
            BeingRemovedError: its bytes are being removed at the moment.
            PurgedError: they were removed for good.
        """
        async with self._database.reading() as connection:
            found = await removals.find(connection, project, kind, digest)
        self._admit(digest, found)
        return found

    async def refuse_purged(self, project: str, digest: Digest) -> None:
        """Refuse bytes before they are sent, where it is clear what they will be.

        Raises:
            PurgedError: a blob of that digest was removed for good.
        """
        async with self._database.reading() as connection:
            if (await removals.find(connection, project, BLOB, digest)).barred:
                raise _purged(digest)

    def _admit(self, digest: Digest, found: Standing) -> None:
        if found.barred:
            raise _purged(digest)
        if found.state is RemovalState.DELETING:
            left = found.decided_at + self._late_ms - self._now()
            raise _being_removed(digest, seconds=max(1, -(-left // 1000)))

    async def check(
        self, connection: AsyncConnection, project: str, kind: str, digest: Digest, standing: Standing
    ) -> None:
        """Return if nothing was decided since `standing`; until the transaction ends, nothing will be.

        Raises:
            BeingRemovedError: it was; what was published meanwhile counts for nothing.
            PurgedError: the bytes were removed for good.
        """
        await locks.beside(connection, project, [digest])
        found = await removals.find(connection, project, kind, digest)
        self._admit(digest, found)
        if found.generation != standing.generation:
            raise _being_removed(digest, seconds=1)

    async def decide(
        self,
        connection: AsyncConnection,
        thing: Thing,
        *,
        reason: str,
        detail: str | None = None,
        barred: bool = False,
        now: int,
    ) -> bool:
        """Step 1, in the caller's transaction; False where `thing` stays.

        It stays while a hold is on it, a present tree is made of it, or a worker checks it. Whether
        it is old enough is for the caller to say, after `locks.alone`.
        """
        await locks.alone(connection, thing.project, [thing.digest])
        found = await removals.known(connection, thing)
        if await self._is_needed(connection, thing, found):
            return False
        size = 0 if found is None else found.size
        begun = await removals.begin(connection, thing, size, reason=reason, detail=detail, now=now)
        if barred:
            await removals.bar(connection, thing, reason=reason, detail=detail)
        if not begun:
            return barred
        await removals.forget(connection, thing, job=_LOOKED_AT[thing.kind])
        topic = _topic(thing, None if found is None else found.layout)
        await queue.enqueue(connection, [(thing.project, REMOVE, topic)], available_at=now)
        return True

    async def _is_needed(
        self, connection: AsyncConnection, thing: Thing, found: removals.Known | None
    ) -> bool:
        if found is not None and found.checking:
            return True
        if await removals.is_held(connection, thing.project, thing.digest):
            return True
        return thing.kind == BLOB and await removals.is_part(connection, thing.project, thing.digest)

    async def unsay(self, project: str, digest: Digest) -> None:
        """Delete the word of a worker that was still looking at bytes when they were removed."""
        async with self._database.writing() as connection:
            await locks.alone(connection, project, [digest])
            removed = await removals.find(connection, project, BLOB, digest) != NEVER_REMOVED
            if removed and await removals.known(connection, Thing(project, BLOB, digest)) is None:
                # Should the bytes come again, the row of their receipt has a worker look at them.
                await self._store.delete(layout.receipt(project, digest, receipts.WORKER))

    async def remove(self, job: Job) -> None:
        """Steps 2 and 3 for the thing that `job` names, or give the job back until no DELETE is under way.

        Raises:
            UnavailableError: the job was lost to another worker, or the store does not answer.
        """
        thing, placed = _named_by(job)
        async with self._database.reading() as connection:
            found = await removals.find(connection, thing.project, thing.kind, thing.digest)
        if found.state is RemovalState.DELETING and await self._delete(job, _keys(thing, placed)):
            await self._postpone(job)
            return
        async with self._database.writing() as connection:
            if not await queue.complete(connection, job):
                return
            if await removals.end(connection, thing, found.generation, now=self._now()):
                name = RemovalName(thing.project, thing.kind, thing.digest, found.generation)
                await queue.enqueue(
                    connection, [(thing.project, CONTROL, name.topic)], available_at=self._now()
                )

    async def _delete(self, job: Job, keys: list[Key]) -> bool:
        """Step 2; whether it has to be looked again later."""
        lying = [key for key in keys if await self._store.size(key) is not None]
        for key in lying:
            # First, so that whoever takes the job after a crash comes when this DELETE has arrived.
            await self._keep(job)
            await self._store.delete(key)
        if self._late_ms:
            return bool(lying)
        return any([await self._store.size(key) is not None for key in lying])

    async def _keep(self, job: Job) -> None:
        until = self._now() + LEASE_MS + self._late_ms
        async with self._database.writing() as connection:
            if not await queue.renew(connection, job, until=until):
                raise UnavailableError("another worker removes this now")

    async def _postpone(self, job: Job) -> None:
        until = self._now() + max(self._late_ms, _AGAIN_MS)
        async with self._database.writing() as connection:
            await queue.postpone(connection, job, until=until)


def _purged(digest: Digest) -> PurgedError:
    return PurgedError("these bytes were removed for good and are not taken in", digest=str(digest))


def _being_removed(digest: Digest, *, seconds: int) -> BeingRemovedError:
    return BeingRemovedError(
        "these bytes are being removed at the moment; send them again",
        digest=str(digest),
        retry_after=seconds,
    )


def _topic(thing: Thing, placed: Digest | None) -> str:
    topic = f"{thing.kind}/{thing.digest.hex}"
    return topic if placed is None else f"{topic}/{placed.hex}"


def _named_by(job: Job) -> tuple[Thing, Digest | None]:
    kind, hex_, *placed = job.topic.split("/")
    thing = Thing(job.project, kind, Digest("sha256", hex_))
    return thing, Digest("sha256", placed[0]) if placed else None


def _keys(thing: Thing, placed: Digest | None) -> list[Key]:
    """The objects of `thing`, receipts first."""
    project, digest = thing.project, thing.digest
    if thing.kind == BLOB:
        words = [layout.receipt(project, digest, kind) for kind in (receipts.API, receipts.WORKER)]
        return [*words, layout.blob(project, digest)]
    kept = [] if placed is None else [layout.tree_layout(project, placed)]
    return [layout.receipt(project, digest, "tree"), *kept, layout.manifest(project, digest)]
