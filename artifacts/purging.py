"""Purging: the bytes of one digest are removed for good, wherever they lie in a project.

1. It is refused where the digest, a tree that has it, or a pack that holds it is held.
2. Trees of which it is a large content are no longer present; then, in one transaction, its
   removal is decided and it is barred: from here on nobody sends it, or finds it in a pack.
   Parts of it that are being sent are removed.
3. The packs that hold it are packed anew without it; everything else in them is kept. A pack
   may hold it unseen, because it lay elsewhere before: such packs are decoded and searched.
4. Trees that have it are no longer present, with the reason; the others are laid out anew.
   The old packs are removed at once and barred (`artifacts.trees.settling`).

Names, records and attestations stay. A crash leaves a job that does the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from artifacts import layout
from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB, CONTROL, RemovalName
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import (
    ConflictError,
    CorruptedError,
    GaveWayError,
    InvalidInputError,
    NotFoundError,
)
from artifacts.outages import repeated
from artifacts.queries import locks, purging, queue, removals, repacking, trees, uploads
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.queue import Job
from artifacts.queries.uploads import UploadState
from artifacts.refs import checked_name
from artifacts.removal import Removals, Thing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.holders import Holders, Told, quietly
from artifacts.trees.laying import Layouts
from artifacts.trees.reading import entries
from artifacts.trees.repacking import Repacked, Repacker
from artifacts.trees.settling import PURGED, packed_with

_BACK_UP_MS: Final = 600_000
"""After this a worker ends a purge whose command did not."""
_TRIALS: Final = 5


@dataclass(frozen=True, slots=True)
class Reach:
    """What a purge of a digest reaches, and other projects, which it does not."""

    project: str
    digest: Digest
    size: int | None
    """Of the blob, where it is one."""
    packs: list[Digest] = field(default_factory=list)
    trees: list[Digest] = field(default_factory=list)
    """Present trees that cannot do without it."""
    elsewhere: list[str] = field(default_factory=list)


class Purger:
    """Purges; every call may be repeated."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock, *, grace_ms: int) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._removals = Removals(database, store, clock)
        self._holders = Holders(database, store, clock)
        self._repacker = Repacker(database, store, clock, grace_ms=grace_ms)
        self._layouts = Layouts(database, store, clock)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def look(self, project: str, digest: Digest, *, told: Told = quietly) -> Reach:
        """What a purge would reach; changes nothing.

        Raises:
            NotFoundError: the project has no such bytes.
            InvalidInputError: they are a pack, and so nothing that anybody leaked.
        """
        async with self._database.reading() as connection:
            if digest.algorithm != "sha256" or not await purging.is_stored(connection, project, digest):
                raise NotFoundError(
                    "these bytes are not stored in the project", digest=str(digest), project=project
                )
            if await repacking.known_packs(connection, project, [digest.raw]):
                raise InvalidInputError(
                    "this is a pack of files of trees",
                    hint="purge the digests of the files that leaked",
                    digest=str(digest),
                )
            size = await receipt_queries.stored_size(connection, project, digest)
            others = [one for one in await repacking.project_names(connection) if one != project]
            elsewhere = [one for one in others if await purging.is_stored(connection, one, digest)]
        packs = await self._holders.packs(project, digest, await self._holders.content(project, digest), told)
        having = await self._trees(project, digest, packs, told)
        return Reach(project, digest, size, packs, having, elsewhere)

    async def _hasten(self, project: str, digest: Digest, secret: bytes, told: Told) -> None:
        """Have old packs that hold it and wait for the end of their grace period removed now."""
        async with self._database.reading() as connection:
            waiting = await repacking.leaving_packs(connection, project)
        found = await self._holders.searched(project, waiting, secret, told)
        topics = [repacking.leaving(Digest.sha256(pack), digest) for pack in found]
        async with self._database.writing() as connection:
            await repacking.follow(connection, project, topics, available_at=self._now())

    async def _trees(self, project: str, digest: Digest, packs: Sequence[Digest], told: Told) -> list[Digest]:
        async with self._database.reading() as connection:
            parts = [digest.raw, *(pack.raw for pack in packs)]
            using = await repacking.trees_over(connection, project, parts)
        found = []
        for number, tree in enumerate(using, 1):
            told("trees read", number)
            if await self._has(project, tree, digest):
                found.append(tree)
        return found

    async def _has(self, project: str, tree: Digest, digest: Digest) -> bool:
        try:
            async for some in entries(self._store, project, tree):
                if any(entry.digest == digest.raw for entry in some):
                    return True
        except (CorruptedError, NotFoundError):
            return False
        return False

    async def purge(
        self, project: str, digest: Digest, reason: str, *, told: Told = quietly
    ) -> tuple[Reach, Repacked]:
        """Purge; what follows from it is on the queues of the worker when this returns.

        Raises:
            NotFoundError: the project has no such bytes.
            ConflictError: a hold is in the way.
        """
        checked_name(reason, "the reason of a purge")
        reach = await self.look(project, digest, told=told)
        await self._refuse_held(reach)
        async with self._database.writing() as connection:
            await purging.begin(connection, project, digest, reason, at=self._now() + _BACK_UP_MS)
        return reach, await self._carry_out(project, digest, reason, told)

    async def work(self, job: Job) -> None:
        """End a purge that was cut off."""
        digest, reason = purging.named_by(job.topic)
        try:
            reach = await self.look(job.project, digest)
            await self._refuse_held(reach)
            await self._carry_out(job.project, digest, reason, quietly)
        except (NotFoundError, ConflictError, InvalidInputError):
            # It is done, or somebody placed a hold since.
            async with self._database.writing() as connection:
                await queue.complete(connection, job)

    async def _refuse_held(self, reach: Reach) -> None:
        async with self._database.reading() as connection:
            held = await purging.held_among(
                connection, reach.project, [reach.digest, *reach.packs, *reach.trees]
            )
        if held:
            raise ConflictError(
                "it, or what holds it, is held",
                hint="custody-server hold DIGEST --lift",
                held=[str(one) for one in held[:10]],
            )

    async def _carry_out(self, project: str, digest: Digest, reason: str, told: Told) -> Repacked:
        secret = await self._holders.content(project, digest)
        await self._bar(project, digest, reason)  # 2
        await self._end_uploads(project, digest)
        if secret:
            await self._hasten(project, digest, secret, told)
        # Looked for now: of packs that come later nothing is believed that holds it.
        packs = await self._holders.packs(project, digest, secret, told)
        done = await repeated(self._repacker.purge)(project, [pack.raw for pack in packs], digest)  # 3
        async with self._database.writing() as connection:
            await purging.end(connection, project, digest, reason)
        return done

    async def _end_uploads(self, project: str, digest: Digest) -> None:
        """Parts of it that were sent, and that no worker has joined."""
        async with self._database.reading() as connection:
            rows = await uploads.of_digests(connection, project, [digest])
        for row in rows:
            if row.state in {UploadState.OPEN, UploadState.CHECKING}:
                async with self._database.writing() as connection:
                    await uploads.move(connection, row, to=UploadState.REFUSED, reason="it was purged")
            async for part in self._store.list(layout.parts(row.id)):
                await self._store.delete(part.key)

    async def _bar(self, project: str, digest: Digest, reason: str) -> None:
        for _ in range(_TRIALS):
            await self._leave_trees(project, digest)
            async with self._database.writing() as connection:
                await locks.alone(connection, project, [digest])
                await repacking.lock_packing(connection, project, to_purge=True)
                if await removals.is_part(connection, project, digest):
                    continue
                thing = Thing(project, BLOB, digest)
                if await self._removals.decide(
                    connection, thing, reason=PURGED, detail=reason, barred=True, now=self._now()
                ):
                    return
                raise ConflictError(
                    "it is held", hint="custody-server hold DIGEST --lift", digest=str(digest)
                )
        raise GaveWayError("trees that have it come faster than they go", digest=str(digest))

    async def _leave_trees(self, project: str, digest: Digest) -> None:
        """Trees in which it is a blob of its own are no longer present."""
        async with self._database.reading() as connection:
            using = await repacking.trees_over(connection, project, [digest.raw])
            rows = [await trees.find_tree(connection, project, tree) for tree in using]
        for row in rows:
            if row is not None:
                await self._layouts.leave(project, row, missing=[digest.raw])

    async def lift(self, project: str, digest: Digest, reason: str) -> list[Digest]:
        """Take the bytes in again from now on, and the packs that held them; return what was barred.

        Raises:
            NotFoundError: they are not barred.
            ConflictError: they are just being removed.
        """
        checked_name(reason, "the reason of lifting a bar")
        now = self._now()
        async with self._database.writing() as connection:
            packs = await purging.barred_with(connection, project, [packed_with(digest)])
            standing = await removals.find(connection, project, BLOB, digest)
            if not standing.barred:
                raise NotFoundError("these bytes are not barred", digest=str(digest), project=project)
            lifted = []
            for one in (digest, *packs):
                await locks.alone(connection, project, [one])
                generation = await purging.lift(connection, project, one, reason, at=now)
                if generation is None:
                    raise ConflictError("they are still being removed", hint="try again in a while")
                topic = RemovalName(project, BLOB, one, generation).topic
                await queue.enqueue(connection, [(project, CONTROL, topic)], available_at=now)
                lifted.append(one)
        return lifted
