"""Purging: the bytes of one digest are removed for good, wherever they lie in a project.

1. It is refused where the digest, a tree that has it, or a pack that holds it is held.
2. Trees of which it is a large content are no longer present; then, in one transaction, its
   removal is decided and it is barred: from here on nobody sends it, or finds it in a pack.
3. The packs that hold it are packed anew without it; everything else in them is kept. A pack
   may hold it unseen, because it lay elsewhere before: such packs are decoded and searched.
4. Trees that have it are no longer present, with the reason; the others are laid out anew.
   The old packs are removed at once and barred (`artifacts.trees.settling`).

Names, records and attestations stay. A crash leaves a job that does the same again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from artifacts import layout
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content
from artifacts.control import BLOB, CONTROL, RemovalName
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import (
    ConflictError,
    CorruptedError,
    GaveWayError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
)
from artifacts.limits import MAX_TREE_FILE_BYTES
from artifacts.outages import repeated
from artifacts.queries import locations, locks, purging, queue, removals, repacking, trees
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.queue import Job
from artifacts.refs import checked_name
from artifacts.removal import Removals, Thing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression
from artifacts.trees.contents import TreeContents
from artifacts.trees.laying import Layouts
from artifacts.trees.packs import Location
from artifacts.trees.reading import entries
from artifacts.trees.repacking import Repacked, Repacker
from artifacts.trees.settling import PURGED

_BACK_UP_MS: Final = 600_000
"""After this a worker ends a purge whose command did not."""
_TRIALS: Final = 5

Told = Callable[[str, int], None]
"""Takes what is being done, and how much of it is."""


def _quietly(_what: str, _done: int) -> None:
    """Tell nobody."""


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
        self._content = Content(database, store, clock)
        self._repacker = Repacker(database, store, clock, grace_ms=grace_ms)
        self._layouts = Layouts(database, store, clock)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def look(self, project: str, digest: Digest, *, told: Told = _quietly) -> Reach:
        """What a purge would reach; changes nothing.

        Raises:
            NotFoundError: the project has no such bytes.
        """
        async with self._database.reading() as connection:
            if digest.algorithm != "sha256" or not await purging.is_stored(connection, project, digest):
                raise NotFoundError(
                    "these bytes are not stored in the project", digest=str(digest), project=project
                )
            size = await receipt_queries.stored_size(connection, project, digest)
            others = [one for one in await repacking.project_names(connection) if one != project]
            elsewhere = [one for one in others if await purging.is_stored(connection, one, digest)]
        packs = await self._packs(project, digest, await self._small(project, digest), told)
        having = await self._trees(project, digest, packs, told)
        return Reach(project, digest, size, packs, having, elsewhere)

    async def _small(self, project: str, digest: Digest) -> bytes | None:
        """The bytes themselves, if they are few enough to lie in a frame and can be had."""
        async with self._database.reading() as connection:
            place = (await locations.locate(connection, project, [digest.raw])).get(digest.raw)
            size = await receipt_queries.stored_size(connection, project, digest)
        with contextlib.suppress(CorruptedError, NotFoundError):
            if place is not None:
                return await TreeContents(self._database, self._store, self._content, project).read(place)
            if size is not None and size <= MAX_TREE_FILE_BYTES:
                return b"".join([piece async for piece in self._content.open(project, digest)])
        return None

    async def _packs(self, project: str, digest: Digest, secret: bytes | None, told: Told) -> list[Digest]:
        """The packs that hold it, the one where it is known to lie last: by that the others are found."""
        async with self._database.reading() as connection:
            place = (await locations.locate(connection, project, [digest.raw])).get(digest.raw)
            found = [pack.digest for pack in await repacking.known_packs(connection, project, [digest.raw])]
        if secret:
            found += await self._hiding(project, secret, told)
        last = [] if place is None else [place.pack]
        first = [raw for raw in dict.fromkeys(found) if raw not in last]
        return [Digest.sha256(raw) for raw in (*first, *last)]

    async def _hiding(self, project: str, secret: bytes, told: Told) -> list[bytes]:
        """The packs that hold `secret` where the index says of nothing that it lies there."""
        async with self._database.reading() as connection:
            suspects = sorted(await repacking.packs_with_gaps(connection, project))
        found = []
        for number, pack in enumerate(suspects, 1):
            told("packs searched", number)
            async with self._database.reading() as connection:
                places = await repacking.lying_in(connection, project, [pack])
            try:
                content = await self._store.read(layout.blob(project, Digest.sha256(pack)))
            except NotFoundError:
                continue
            if await asyncio.to_thread(hides, content, places, secret):
                found.append(pack)
        return found

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
        self, project: str, digest: Digest, reason: str, *, told: Told = _quietly
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
            await self._carry_out(job.project, digest, reason, _quietly)
        except (NotFoundError, ConflictError):
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
        secret = await self._small(project, digest)
        async with self._database.reading() as connection:
            is_pack = bool(await repacking.known_packs(connection, project, [digest.raw]))
        if not is_pack:  # else it goes as the old packs do
            await self._bar(project, digest, reason)  # 2
        # Looked for now: of packs that come later nothing is believed that holds it.
        packs = await self._packs(project, digest, secret, told)
        done = await repeated(self._repacker.purge)(project, [pack.raw for pack in packs], digest)  # 3
        async with self._database.writing() as connection:
            await purging.end(connection, project, digest, reason)
        return done

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


def packed_with(content: Digest) -> str:
    """Why a pack is barred that held `content`."""
    return f"a pack that held {content}"


def hides(pack: bytes, places: Sequence[Location], secret: bytes) -> bool:
    """Whether `secret` lies in `pack` where none of `places`, which are all that is known of it, is."""
    covered: dict[int, list[Location]] = {}
    for place in places:
        covered.setdefault(place.frame_offset, []).append(place)
    try:
        for offset, content in compression.frames(pack):
            if any(secret in gap for gap in _gaps(content, covered.get(offset, []))):
                return True
    except (InvalidInputError, LimitExceededError):
        return False
    return False


def _gaps(content: bytes, places: Sequence[Location]) -> list[bytes]:
    gaps, end = [], 0
    for place in sorted(places, key=lambda one: one.start):
        gaps.append(content[end : place.start])
        end = place.start + place.size
    return [*gaps, content[end:]]
