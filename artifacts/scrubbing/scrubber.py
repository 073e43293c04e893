"""The walk over all that is stored: what lies there is looked at, what should lie there is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, islice
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock
from artifacts.content import HASH
from artifacts.db import Database
from artifacts.errors import CustodyError, NotFoundError
from artifacts.layout import Key
from artifacts.named_keys import Kind
from artifacts.queries import queue, reindexed_facts, scrubbing
from artifacts.queries.scrubbing import Expected
from artifacts.receipts import WORKER
from artifacts.scrubbing.areas import BUNDLE, Area, Item, item_of, of_project, shared
from artifacts.scrubbing.checks import CheckControl, Checks
from artifacts.scrubbing.healing import Healed, Healer
from artifacts.scrubbing.pacing import Pace
from artifacts.scrubbing.report import Damage, Report
from artifacts.storage.protocol import Listed, ObjectStore

AT_ONCE: Final = 16
"""Objects that are looked at together."""
MISSING: Final = "it is not there"


@dataclass(frozen=True, slots=True)
class Scope:
    """What to look at: all of it, unless something is said."""

    project: str | None = None
    since: datetime | None = None
    """Leave out what was written before; what is missing is noticed all the same."""
    after: str = ""
    """Begin behind this key."""


@dataclass(frozen=True, slots=True)
class Stores:
    """Where to look, and where copies lie, if there are any."""

    store: ObjectStore
    second: ObjectStore | None = None

    @property
    def all(self) -> list[ObjectStore]:
        """Both of them, or the one."""
        return [self.store] if self.second is None else [self.store, self.second]


@dataclass(slots=True)
class Scrubber:
    """Looks at everything once. Beside a running service: what changes meanwhile is no damage."""

    database: Database
    stores: Stores
    clock: Clock
    control: CheckControl
    pace: Pace = field(default_factory=Pace)
    repair: bool = False
    """Mend what can be mended and tell of the rest; otherwise nothing is changed."""
    reached: Callable[[str, Report], None] = lambda _key, _report: None
    """Hears up to which key everything was looked at."""
    found: Callable[[Damage], None] = lambda _damage: None
    """Hears of each damaged object at once."""
    report: Report = field(default_factory=Report)

    async def run(self, scope: Scope = Scope()) -> Report:
        """Look at all of `scope` and return what was found.

        Raises:
            NotFoundError: there is no such project.
            UnavailableError: the index or the store is away.
        """
        walk = _Walk(self, scope)
        async for area in walk.areas():
            if not area.is_before(scope.after):
                await walk.through(area)
        return self.report


class _Walk:
    """One run of a scrubber."""

    def __init__(self, scrubber: Scrubber, scope: Scope) -> None:
        self._scrubber = scrubber
        self._scope = scope
        self._report = scrubber.report
        self._store = scrubber.stores.store
        self._checks = Checks(self._store, scrubber.control, scrubber.pace, self._read)
        second = scrubber.stores.second
        copies = None if second is None else Checks(second, scrubber.control, scrubber.pace)
        self._healer = Healer(scrubber.database, self._store, scrubber.clock, self._checks, copies)

    def _read(self, size: int) -> None:
        self._report.bytes += size

    async def areas(self) -> AsyncIterator[Area]:
        """Every slice to look at, in the order of their keys."""
        async with self._scrubber.database.reading() as connection:
            projects = await reindexed_facts.projects(connection)
        if self._scope.project is not None:
            if self._scope.project not in projects:
                raise NotFoundError("there is no such project", project=self._scope.project)
            # Bundles of all projects lie together; which are of this one, the index says.
            bundles = Area("attestations/sha256/", BUNDLE, self._scope.project, detail="")
            whole: Iterable[Area] = chain([bundles], of_project(self._scope.project))
        else:
            # In the order of their keys: a dash comes before the slash that ends a name.
            ordered = sorted(projects, key=lambda project: f"{project}/")
            whole = chain(shared(), *(of_project(project) for project in ordered))
        for area in whole:
            for one in area.sliced(await self._names(area)):
                yield one

    async def _names(self, area: Area) -> int:
        if area.detail is None:
            return 0
        async with self._scrubber.database.reading() as connection:
            return await scrubbing.names(connection, area)

    async def through(self, area: Area) -> None:
        """Look at one slice."""
        # First the index, then the names: a row comes after its object and goes before it.
        async with self._scrubber.database.reading() as connection:
            expected = await scrubbing.expected(connection, area)
        listed = {str(one.key): one async for one in self._store.list(area.prefix)}
        if area.kind == BUNDLE and self._scope.project is not None:
            listed = {key: one for key, one in listed.items() if key in expected}
        names = sorted(key for key in listed.keys() | expected.keys() if key > self._scope.after)
        for some in _chunks(names):
            looked = [self._one(key, listed.get(key), expected.get(key)) for key in some]
            for damage in await _all(looked):
                if damage is not None:
                    self._report.add(damage)
                    self._scrubber.found(damage)
            self._scrubber.reached(some[-1], self._report)

    async def _one(self, key: str, listed: Listed | None, expected: Expected | None) -> Damage | None:
        item = item_of(Key(key))
        if item is None:
            self._report.note_stranger(key)
            return None
        if listed is not None:
            if self._scope.since is not None and listed.changed_at < self._scope.since:
                return None
            item = replace(item, size=listed.size)
        self._report.counts[f"{item.kind}s"] += 1
        reason, expected = await self._wrong(item, expected)
        return None if reason is None else await self._damage(item, expected, reason)

    async def _wrong(self, item: Item, expected: Expected | None) -> tuple[str | None, Expected | None]:
        """What is wrong with one object, by what the index says of it at last."""
        reason = await self._seen(item, expected)
        if reason is None:
            return None, expected
        async with self._scrubber.database.reading() as connection:
            now = await scrubbing.still_expected(connection, item)
            due = now is not None and await _is_due(connection, item)
        if reason == MISSING and (now is None or due):
            return None, None  # it was removed, nobody had counted on it, or a worker is to write it
        # It may have been written anew meanwhile, and its row with it.
        return (reason if now == expected else await self._seen(item, now)), now

    async def _seen(self, item: Item, expected: Expected | None) -> str | None:
        try:
            return (await self._checks.look(item, expected)).reason
        except NotFoundError:
            return MISSING

    async def _damage(self, item: Item, expected: Expected | None, reason: str) -> Damage:
        async with self._scrubber.database.reading() as connection:
            dependents = await scrubbing.dependents(connection, item)
        healed = await self._healed(item, expected) if self._scrubber.repair else Healed()
        return Damage(
            str(item.key),
            item.kind,
            item.project,
            None if item.digest is None or item.kind == Kind.REFUSAL else str(item.digest),
            reason,
            dependents,
            healed.how,
            healed.why_not,
        )

    async def _healed(self, item: Item, expected: Expected | None) -> Healed:
        try:
            return await self._healer.heal(item, expected)
        except CustodyError as error:  # one that cannot be mended must not hide the next
            return Healed(why_not=error.message)


async def _all(looked: Sequence[Awaitable[Damage | None]]) -> list[Damage | None]:
    """What each of them gives, once all have ended; none goes on where another one failed."""
    found = []
    for one in await asyncio.gather(*looked, return_exceptions=True):
        if isinstance(one, BaseException):
            raise one
        found.append(one)
    return found


async def _is_due(connection: AsyncConnection, item: Item) -> bool:
    """Whether a worker is to look at the bytes that a receipt is about, and to say what it saw."""
    if item.kind != Kind.RECEIPT or item.project is None or item.digest is None:
        return False
    return item.detail == WORKER and await queue.is_queued(connection, item.project, HASH, item.digest.hex)


def _chunks(names: Sequence[str]) -> Iterator[list[str]]:
    waiting = iter(names)
    while some := list(islice(waiting, AT_ONCE)):
        yield some
