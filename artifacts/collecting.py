"""Finding what may go, and having it removed.

Garbage goes without any rule: what nobody named, and no present tree is made of. What was
named goes by a rule of the operator alone. In both cases only once its grace period is over:
counted from when it came, was named, or somebody was told that it is here. A hold, an upload
under way, a check under way and a step that is still to be signed keep things whatever the
rules say. Every decision is made once more in the transaction that begins the removal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB, TREE
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import EvidenceError
from artifacts.judging import Collected, Going, Judge
from artifacts.naming import GRACE_SECONDS
from artifacts.outages import repeated
from artifacts.queries import collecting, locks, reindexing, usage
from artifacts.queries.collecting import Candidate
from artifacts.queries.removals import Thing
from artifacts.removal import RULE, Removals
from artifacts.retention import Retention
from artifacts.trees.claims import PackClaim

_PAGE: Final = 500


async def _nothing() -> None:
    """Nothing holds a collection up."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By what things go: the rules, the grace period, and a check that comes first.

    `check` raises where the index may not be gone by, because the bucket is ahead of it.
    """

    retention: Retention = field(default_factory=Retention)
    grace_seconds: float = GRACE_SECONDS
    check: Callable[[], Awaitable[None]] = _nothing


class Collector:
    """Collects one project after the other; safe to repeat, safe to race."""

    def __init__(
        self, database: Database, clock: Clock, removals: Removals, terms: Terms | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._removals = removals
        self._terms = terms or Terms()

    async def collect(self, *, only: str | None = None, dry_run: bool = False) -> Collected:
        """Decide what goes, of one project or of all; with `dry_run` nothing is changed.

        Raises:
            EvidenceError: the index is older than the bucket, or not filled again yet: it does not
                know what is needed.
        """
        await self._terms.check()
        collected = Collected()
        async with self._database.reading() as connection:
            if await reindexing.is_filing(connection):
                raise EvidenceError(
                    "a reindex of this index has not ended, so nothing is removed by it",
                    hint="run custody-server reindex to its end",
                )
            names = await collecting.projects(connection)
        for project in names:
            if only in {None, project}:
                shelf = _Shelf(self._database, self._removals, project, self._terms)
                sweep = _DryRun(shelf, collected) if dry_run else _Sweep(shelf, collected)
                await sweep.run(await shelf.judge(to_milliseconds(self._clock.now())))
        return collected


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What one project keeps."""

    database: Database
    removals: Removals
    project: str
    terms: Terms

    async def judge(self, now: int) -> Judge:
        """What decides at this moment."""
        async with self.database.reading() as connection:
            began = await collecting.oldest_open(connection, self.project)
            bodies = await collecting.claims_under_way(connection, self.project)
        claimed = await asyncio.to_thread(lambda: {PackClaim.from_bytes(body).digest.raw for body in bodies})
        grace = int(self.terms.grace_seconds * 1000)
        return Judge(self.terms.retention, now, grace, began, frozenset(claimed))

    async def pages(self, kind: str) -> AsyncIterator[list[Candidate]]:
        """All of it, some at a time."""
        after = b""
        while True:
            async with self.database.reading() as connection:
                digests = await collecting.page(connection, self.project, kind, after=after, limit=_PAGE)
                found = await self._look_at(connection, kind, digests)
            if not digests:
                return
            yield found
            after = digests[-1].raw

    async def _look_at(
        self, connection: AsyncConnection, kind: str, digests: Sequence[Digest]
    ) -> list[Candidate]:
        names = self.terms.retention.concerns(self.project)
        return await collecting.look_at(connection, self.project, kind, digests, names=names)

    async def stays(self, connection: AsyncConnection, one: Candidate) -> bool:
        """The last and dearest questions: what lies in a pack, who waits for the bytes."""
        if one.kept.kind == BLOB and not one.is_named:
            return await collecting.holds_named_contents(connection, self.project, one.digest)
        return one.is_named and await collecting.is_awaited(connection, self.project, one.digest)

    @repeated
    async def take(self, judge: Judge, going: Going) -> bool:
        """Begin to remove `going`, if it still may go under the lock of its digest."""
        thing = going.thing
        async with self.database.writing() as connection:
            await locks.alone(connection, self.project, [thing.digest])
            found = await self._look_at(connection, thing.kind, [thing.digest])
            why = judge.why(found[0]) if found else None
            if why is None or why[0].reason != going.reason or await self.stays(connection, found[0]):
                return False
            return await self.removals.decide(
                connection, thing, reason=going.reason, detail=going.detail, now=judge.now
            )

    async def parts_only_of(self, trees: Sequence[Digest]) -> frozenset[bytes]:
        """See `collecting.parts_only_of`."""
        async with self.database.reading() as connection:
            return frozenset(await collecting.parts_only_of(connection, self.project, trees))

    async def weight(self, going: Going) -> int:
        """The bytes that go with it, sooner or later."""
        if going.thing.kind != TREE:
            return going.size
        async with self.database.reading() as connection:
            return going.size + await collecting.only_of(connection, self.project, going.thing.digest)

    async def excess(self) -> int | None:
        """By how many bytes it is over its budget, what goes by itself left out."""
        budget = self.terms.retention.budgets.get(self.project)
        if budget is None:
            return None
        async with self.database.reading() as connection:
            used = await usage.stored_bytes(connection, self.project)
            return used - await collecting.idle_bytes(connection, self.project) - budget


class _Sweep:
    """One collection of one project."""

    def __init__(self, shelf: _Shelf, collected: Collected) -> None:
        self.shelf = shelf
        self._collected = collected
        self._spare: dict[Thing, tuple[Going, Candidate]] = {}
        """What may go while the project is over its budget."""
        self.gone: set[Thing] = set()

    async def run(self, judge: Judge) -> None:
        """Trees first, because packs and blobs are free once no tree is made of them."""
        await self._pass(judge, TREE)
        judge = await self.after(judge)
        await self._pass(judge, BLOB)
        before = len(self.gone)
        await self._meet_budget(judge)
        if len(self.gone) > before:
            await self._pass(await self.after(judge), BLOB)

    async def _pass(self, judge: Judge, kind: str) -> None:
        async for found in self.shelf.pages(kind):
            for one in found:
                why = judge.why(one)
                if why is None:
                    continue
                going, over_budget = why
                if over_budget:
                    self._spare[going.thing] = why[0], one
                else:
                    await self._go(judge, going, one)

    async def _go(self, judge: Judge, going: Going, one: Candidate) -> bool:
        if going.thing in self.gone or not await self.take(judge, going, one):
            return False
        self.gone.add(going.thing)
        self._collected.add(going)
        return True

    async def _meet_budget(self, judge: Judge) -> None:
        excess = await self.excess()
        spare = sorted(self._spare.values(), key=lambda pair: (pair[1].kept.touched_at, pair[0].thing))
        for going, one in spare:
            if excess is None or excess <= 0:
                return
            weight = await self.shelf.weight(going)
            if await self._go(judge, going, one):
                excess -= weight
        if excess is not None and excess > 0:
            self._collected.over_budget[self.shelf.project] = excess

    async def take(self, judge: Judge, going: Going, one: Candidate) -> bool:
        """Begin to remove it."""
        return await self.shelf.take(judge, going)

    async def after(self, judge: Judge) -> Judge:
        """What decides once trees are gone."""
        return judge

    async def excess(self) -> int | None:
        """By how much the project is over its budget now."""
        return await self.shelf.excess()


class _DryRun(_Sweep):
    """The same without a change: what would be gone is kept in mind."""

    _relief = 0

    async def take(self, judge: Judge, going: Going, one: Candidate) -> bool:
        """Ask the last questions, and change nothing."""
        async with self.shelf.database.reading() as connection:
            if await self.shelf.stays(connection, one):
                return False
        if going.thing.kind == TREE or going.reason == RULE:
            self._relief += await self.shelf.weight(going)
        return True

    async def after(self, judge: Judge) -> Judge:
        """Parts of trees that would be gone are free."""
        trees = [thing.digest for thing in self.gone if thing.kind == TREE]
        return replace(judge, freed=await self.shelf.parts_only_of(trees))

    async def excess(self) -> int | None:
        """What would be gone weighs nothing."""
        excess = await self.shelf.excess()
        return None if excess is None else excess - self._relief
