"""One trial: blobs are stored, damaged behind the service's back, read, looked for, and mended.

What must come out, whatever the damage:

1. no reader ever gets wrong bytes as right ones;
2. a scrub names every damaged or missing blob, and no other;
3. good bytes that are sent again mend what they are sent for;
4. everything else is healed from a second store that holds a right copy.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar

import httpx2
import structlog

from artifacts.content import Received
from artifacts.digest import Digest
from artifacts.layout import blob
from artifacts.scrubbing.report import Report
from artifacts.scrubbing.scrubber import Scrubber, Stores
from artifacts.storage.protocol import ObjectStore
from provenance.scrubbing import control_check
from tests.corruption.damage import REMOVED, SWAPPED, Place, spoil
from tests.service import Service

PROJECT: Final = "default"
SHARES: Final[Mapping[str, int]] = {
    "one bit flipped": 10,
    "cut off": 50,
    "filled with zeros": 50,
    SWAPPED: 50,
    "extended": 50,
    REMOVED: 100,
}
"""Of so many blobs one is damaged in this way; of those that are swapped, two."""
RIGHT: Final = "right"
WRONG: Final = "wrong"
REFUSED: Final = "refused"
_AT_ONCE: Final = 16
_ROWS_AT_ONCE: Final = 250
_SIZES: Final = ((1, 20_000), (20_000, 200_000), (200_000, 1 << 20), (1 << 20, 3 << 20))
_WEIGHTS: Final = (90, 8, 1.5, 0.5)
T = TypeVar("T")


@dataclass
class Outcome:
    """What came of the blobs that were damaged in one way."""

    objects: int = 0
    refused: int = 0
    """By readers."""
    found: int = 0
    """By the scrub."""
    resent: int = 0
    """Sent again."""
    mended: int = 0
    """Of these, right afterwards."""
    healed: int = 0
    """Of the others, right after a scrub with a second store."""


@dataclass
class Trial:
    """The blobs of one service, and where they lie."""

    service: Service
    place: Place
    second: ObjectStore
    """Filled by `copy`, once everything is stored."""
    copy: Callable[[], None]
    blobs: int
    chance: random.Random = field(default_factory=lambda: random.Random("corruption"))
    served_wrong: int = 0
    false_alarms: int = 0
    left: int = 0
    """Damaged objects after everything."""
    _seeds: dict[str, tuple[int, int]] = field(default_factory=dict)
    _spoilt: dict[str, str] = field(default_factory=dict)

    async def run(self) -> dict[str, Outcome]:
        """Do all of it; return what came of each kind of damage."""
        with _quiet():
            return await self._tried()

    async def _tried(self) -> dict[str, Outcome]:
        await self._store()
        self.copy()
        self._spoil()
        outcomes = {way: Outcome() for way in SHARES}
        for way in self._spoilt.values():
            outcomes[way].objects += 1
        await self._read_all(outcomes)
        self._look(await self._scrub(second=None, repair=False), outcomes)
        await self._send_again(outcomes)
        await self._heal(outcomes)
        return outcomes

    def _content(self, name: str) -> bytes:
        seed, size = self._seeds[name]
        return random.Random(seed).randbytes(size)

    async def _store(self) -> None:
        for numbers in _some(range(self.blobs), _ROWS_AT_ONCE):
            received = await _abreast([self._receive(number) for number in numbers])
            async with self.service.database.writing() as connection:
                for one in received:
                    await self.service.parts.content.note(connection, PROJECT, one)
        await self.service.read_back()

    async def _receive(self, number: int) -> Received:
        (low, high), *_ = self.chance.choices(_SIZES, _WEIGHTS)
        size = self.chance.randint(low, high)
        content = random.Random(number).randbytes(size)
        digest = Digest.of(content)
        self._seeds[str(blob(PROJECT, digest))] = (number, size)
        return await self.service.parts.content.receive(PROJECT, _once(content), declared=digest)

    def _spoil(self) -> None:
        names = sorted(self._seeds)
        self.chance.shuffle(names)
        waiting = iter(names)
        for way, share in SHARES.items():
            for _ in range(self.blobs // share):
                name, other = next(waiting), next(waiting) if way == SWAPPED else ""
                spoil(self.place, self.chance, way, name, other)
                self._spoilt |= {one: way for one in (name, other) if one}

    async def _read_all(self, outcomes: Mapping[str, Outcome]) -> None:
        """Every blob is asked for; wrong bytes that look complete are served wrong."""
        async with self.service.client() as client:
            for name, verdict in await self._read(client, self._seeds):
                self.served_wrong += verdict == WRONG
                if name in self._spoilt:
                    outcomes[self._spoilt[name]].refused += verdict == REFUSED
                else:
                    self.left += verdict != RIGHT

    async def _read(self, client: httpx2.AsyncClient, names: Iterable[str]) -> list[tuple[str, str]]:
        async def one(name: str) -> tuple[str, str]:
            digest = name.rpartition("/")[2]
            answer = await client.get(f"/v1/blobs/sha256:{digest}")
            if answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == digest:
                return name, RIGHT
            complete = len(answer.content) == int(answer.headers.get("content-length", -1))
            return name, WRONG if answer.status_code == 200 and complete else REFUSED

        return await _abreast([one(name) for name in names])

    async def _scrub(self, *, second: ObjectStore | None, repair: bool) -> Report:
        stores = Stores(self.service.store, second)
        control = await control_check(*stores.all)
        service = self.service
        return await Scrubber(service.database, stores, service.clock, control, repair=repair).run()

    def _look(self, report: Report, outcomes: Mapping[str, Outcome]) -> None:
        for damage in report.damages:
            if damage.key in self._spoilt:
                outcomes[self._spoilt[damage.key]].found += 1
            else:
                self.false_alarms += 1

    async def _send_again(self, outcomes: Mapping[str, Outcome]) -> None:
        """A worker tells of all damage; then half of what was damaged is sent once more."""
        await self._scrub(second=None, repair=True)
        await self.service.read_back()
        seen: Counter[str] = Counter()
        chosen = []
        for name, way in sorted(self._spoilt.items()):
            seen[way] += 1
            chosen += [name] if seen[way] % 2 else []
        async with self.service.client() as client:
            for name in chosen:
                answer = await client.post("/v1/blobs/uploads", content=self._content(name))
                assert answer.status_code == 200, answer.text
            for name, verdict in await self._read(client, chosen):
                outcome = outcomes[self._spoilt.pop(name)]
                outcome.resent += 1
                outcome.mended += verdict == RIGHT
        await self.service.read_back()

    async def _heal(self, outcomes: Mapping[str, Outcome]) -> None:
        await self._scrub(second=self.second, repair=True)
        await self.service.read_back()
        async with self.service.client() as client:
            for name, verdict in await self._read(client, self._seeds):
                if name in self._spoilt:
                    outcomes[self._spoilt[name]].healed += verdict == RIGHT
                else:
                    self.left += verdict != RIGHT
        self.left += (await self._scrub(second=None, repair=False)).damaged


@contextmanager
def _quiet() -> Iterator[None]:
    """Let nothing be logged: each refusal comes with all that led to it, which takes a second to print."""
    processors = structlog.get_config()["processors"]
    before = list(processors)
    processors[:] = [_drop]
    try:
        yield
    finally:
        processors[:] = before


def _drop(_logger: object, _method: str, _event: MutableMapping[str, Any]) -> NoReturn:  # Any: what is logged
    raise structlog.DropEvent


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _abreast(waiting: Iterable[Awaitable[T]]) -> list[T]:
    """What all of them give, some at a time."""
    done: list[T] = []
    for some in _some(waiting, _AT_ONCE):
        done += await asyncio.gather(*some)
    return done


def _some(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
