"""Adding to the log what was signed: in groups, off the request path, by one signer at a time.

The order, of which any step may be the last before a crash:

1. Lead: of several signers one adds. A row says which, and until when.
2. Read the newest published checkpoint (`standing.py`). Nothing is numbered, and nothing signed,
   by an index that does not go on from it: one that was restored, or that is of another log.
3. Take what is on the queue, read the *bundles*, and make leaves of those that our keys signed
   (`gathering.py`). No row is trusted.
4. Number them, one after the other, in one transaction. From here on the order is decided.
5. Write tiles. What lies there already must be the same.
6. Say in the row what is about to be signed. It never gets smaller, and whoever comes back
   after a crash signs that or more.
7. Publish the checkpoint; then note it in the ledgers, and end the jobs.

Ed25519 signs the same text in the same way, so a step that is repeated writes the same object.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout
from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.errors import CustodyError, EvidenceError, UnavailableError
from artifacts.queries import log_leaves, queue, steps
from artifacts.queries.log_leaves import LOG, Head, Numbered
from artifacts.queries.queue import Job
from artifacts.steps import StepState
from artifacts.storage.protocol import ObjectStore
from provenance.keys import PublicKey
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.gathering import Gatherer, enqueue_unlogged
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash
from provenance.log.notes import NoteSigner
from provenance.log.objects import LogObjects
from provenance.log.standing import AGED, HINT, Standing

LEASE_MS: Final = 30_000
AT_ONCE: Final = 512
"""Bundles of one group."""
_MOST: Final = 20_000
"""Leaves that one checkpoint adds, where a crash left more."""


def _unheard(_job: Job, _error: CustodyError) -> None:
    """Nobody asked."""


@dataclass(slots=True)
class Appender:
    """Adds signed bundles to a log: to the one that has the name of the key of `signer`."""

    database: Database
    store: ObjectStore
    clock: Clock
    signer: NoteSigner
    keys: frozenset[PublicKey]
    """Whose signatures are leaves."""
    owner: str
    refused: Callable[[Job, CustodyError], None] = _unheard
    """Told of jobs that come to nothing."""
    _frontier: Frontier = field(default_factory=Frontier)
    """The log as it was published last."""
    _made: dict[int, Numbered] = field(default_factory=dict)
    """Leaves that were numbered here just now, whose signatures were checked."""

    async def publish_key(self) -> None:
        """Write the public key of the log where api and auditors find it; the first one stays."""
        await self.store.put(layout.log_key(), f"{self.signer.key.text}\n".encode())

    async def fill(self) -> int:
        """Put on the queue what was signed and never logged; return how many."""
        async with self.database.writing() as connection:
            return await enqueue_unlogged(connection, now=self._now)

    async def resume(self) -> None:
        """Publish what a crash left numbered.

        Raises:
            EvidenceError: nothing may be added to the log; the message says why.
        """
        if await self._lead():
            await self._confirm()
            await self._publish()

    async def round(self) -> int:
        """Log what is on the queue, and return how many jobs that was.

        Raises:
            EvidenceError: nothing may be added to the log; the message says why.
        """
        async with self.database.reading() as connection:
            if not await queue.waiting(connection, LOG, now=self._now):
                return 0
        if not await self._lead():  # 1
            return 0
        await self._confirm()  # 2
        async with self.database.writing() as connection:
            jobs = await queue.take(
                connection, LOG, owner=self.owner, now=self._now, lease_ms=LEASE_MS, limit=AT_ONCE
            )
        gatherer = Gatherer(self.database, self.store, self.clock, self.keys)
        gathered = await gatherer.gather(jobs)  # 3
        await gatherer.give_back(gathered)
        for job, error in gathered.refused:
            self.refused(job, error)
        await self.add([leaf for _, leaf in gathered.leaves])
        await self._end(gathered.leaves)
        return len(jobs)

    async def add(self, leaves: Sequence[Numbered]) -> None:
        """Number leaves whose signatures were checked, as `Gatherer` does, and publish them.

        Raises:
            EvidenceError: nothing may be added to the log; the message says why.
            UnavailableError: another signer adds to it.
        """
        await self._number(leaves)  # 4
        await self._publish()

    async def leave(self) -> None:
        """Let another signer go on at once."""
        async with self.database.writing() as connection:
            await log_leaves.leave(connection, self._origin, self.owner)

    @property
    def _origin(self) -> str:
        return self.signer.key.name

    @property
    def _now(self) -> int:
        return to_milliseconds(self.clock.now())

    @property
    def _objects(self) -> LogObjects:
        return LogObjects(self.store)

    # 1: who adds

    async def _lead(self) -> bool:
        now = self._now
        async with self.database.writing() as connection:
            return await log_leaves.lead(connection, self._origin, self.owner, now=now, until=now + LEASE_MS)

    async def _check_leads(self, connection: AsyncConnection) -> None:
        if not await log_leaves.leads(connection, self._origin, self.owner):
            raise UnavailableError("another signer adds to the log by now")

    # 2: what is published

    async def _confirm(self) -> None:
        standing = Standing(self.database, self._objects, self.clock, self.signer)
        self._frontier = await standing.confirmed(self._frontier)

    # 4: numbers

    async def _number(self, made: Sequence[Numbered]) -> None:
        async with self.database.writing() as connection:
            await self._check_leads(connection)
            known = await log_leaves.numbers(connection, [one.bundle for one in made])
            new = {one.bundle: one for one in made if one.bundle not in known}
            first = await log_leaves.size(connection)
            leaves = [replace(one, number=number) for number, one in enumerate(new.values(), first)]
            await log_leaves.add(connection, leaves)
        self._made = {one.number: one for one in leaves}

    # 5 to 7: from numbers to a checkpoint

    async def _publish(self) -> None:
        """Publish all that is numbered."""
        while await self._publish_some() == _MOST:
            pass

    async def _publish_some(self) -> int:
        frontier = self._frontier
        leaves = await self._waiting(frontier.size)
        if not leaves:
            return 0
        grown = frontier.copy()
        tiles = grown.grow([self._entry(one, number) for number, one in enumerate(leaves, frontier.size)])
        await self._objects.write(tiles)  # 5
        await self._decide(Head(grown.size, grown.root))  # 6
        checkpoint = Checkpoint(self._origin, grown.size, grown.root)
        await self._objects.publish(checkpoint.signed(self.signer), self.clock)  # 7
        self._frontier = grown
        async with self.database.writing() as connection:
            await log_leaves.published(connection, leaves[0].number, grown.size)
            late = await log_leaves.head(connection, self._origin) != Head(grown.size, grown.root)
        if late:
            # Whoever was too slow to lead may just have written over a newer checkpoint.
            await self._confirm()
        with contextlib.suppress(UnavailableError):  # what is left is in nobody's way
            await self._objects.prune(tiles)
        return len(leaves)

    async def _waiting(self, size: int) -> Sequence[Numbered]:
        """The leaves that follow those that are published, as many as one checkpoint adds."""
        if self._made and next(iter(self._made)) == size:
            return list(self._made.values())[:_MOST]  # nobody else may add, so these are all
        async with self.database.reading() as connection:
            return await log_leaves.between(connection, size, size + _MOST)

    async def _decide(self, head: Head) -> None:
        async with self.database.writing() as connection:
            await self._check_leads(connection)
            decided = await log_leaves.decide(connection, self._origin, self.owner, head)
        if not decided:
            raise EvidenceError(AGED, hint=HINT, size=head.size)

    def _entry(self, row: Numbered, number: int) -> bytes:
        """The leaf of a row, which is believed if it was made here, or by its own signature.

        Raises:
            EvidenceError: it is neither.
        """
        if row.number != number or row.leaf is None or leaf_hash(row.leaf) != row.hash:
            raise EvidenceError("a row of the log is damaged", hint=HINT, number=number)
        if self._made.get(number) != row:
            leaf = Leaf.parse(row.leaf)
            if leaf.spki not in {key.spki for key in self.keys}:
                raise EvidenceError("a row of the log is of what no key of ours signed", number=number)
            leaf.check()
        return row.leaf

    async def _end(self, logged: Sequence[tuple[Job, Numbered]]) -> None:
        """Say of the steps that they are logged, and end the jobs.

        By the jobs and not by what was just published: after a crash the one may be done and not the other.
        """
        if not logged:
            return
        async with self.database.writing() as connection:
            by_project = await log_leaves.steps_of(connection, [one for _, one in logged])
            for project, ids in by_project.items():
                await steps.enter(connection, project, ids, StepState.LOGGED.value, at=self._now)
            for job, _ in logged:
                await queue.complete(connection, job)
