"""Collecting against uploads, questions and checks: what was acknowledged can be read afterwards, always.

Each side is a service of its own, with connections of its own, over the same index and the
same objects. In every round bytes that may go are removed, sent, asked for and named at once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from api.parts import assemble
from artifacts import layout
from artifacts.collecting import Collector
from artifacts.db import connect
from artifacts.digest import Digest
from artifacts.labour import LEASE_MS, Labourer
from artifacts.queries.queue import Job
from artifacts.removal import REMOVE, Removals, Thing
from artifacts.storage.directory import DirectoryStore
from artifacts.trees.checking import Checker
from artifacts.trees.taking import CHECK
from tests.attacks.remains import query
from tests.collecting import is_here, unnamed
from tests.service import PUBLIC_URL, Service, a_service, reference, sha256
from tests.trees.shapes import Pack, Tree, file, put_manifest

pytestmark = [pytest.mark.both_databases, pytest.mark.slow, pytest.mark.timeout(900)]

DAY = 86_400
ROUNDS = 15
AT_ONCE = 6
BYTES = {"Content-Type": "application/octet-stream"}


@dataclasses.dataclass
class Sides:
    """The services of a race, and a client of each api."""

    services: list[Service]
    clients: list[httpx2.AsyncClient]
    chance: random.Random

    @property
    def collector(self) -> Collector:
        """The last service collects."""
        last = self.services[-1]
        return Collector(last.database, last.clock, self.removals)

    @property
    def removals(self) -> Removals:
        last = self.services[-1]
        return Removals(last.database, last.store, last.clock)

    async def pause(self) -> None:
        """Let the sides meet in another order each time."""
        await asyncio.sleep(self.chance.choice([0, 0.02, 0.05, 0.1, 0.2, 0.4]))

    async def collect(self) -> None:
        """Decide and remove, until nothing is left to do."""
        await self.collector.collect()
        await self.work(REMOVE)

    async def work(self, kind: str) -> None:
        """Do what is on a queue; what gives way is taken again."""
        last = self.services[-1]
        checker = Checker(last.database, last.store, last.clock)
        work = {REMOVE: self.removals.remove, CHECK: checker.check}[kind]
        labourer = Labourer(last.database, last.clock, kind, "race", work, _tell)
        while await labourer.round():
            pass

    async def settle(self) -> None:
        """End what is under way; leases of jobs that gave way are over."""
        for _ in range(3):
            self.services[0].clock.advance(LEASE_MS / 1000 + 1)
            await self.work(CHECK)
            await self.work(REMOVE)

    def rows(self, text: str) -> list[tuple[object, ...]]:
        return query(self.services[0].folder / "data", text)


def _tell(job: Job, error: Exception) -> None:
    print(job.kind, job.topic, repr(error))


@pytest.fixture
async def sides(tmp_path: Path, index: str | None) -> AsyncIterator[Sides]:
    """Three services over one index and one folder of objects."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(a_service(tmp_path, index=index))
        services = [first]
        for _ in range(2):
            database = connect(index or f"sqlite+aiosqlite:///{tmp_path}/data/index/custody.db")
            stack.push_async_callback(database.close)
            store = DirectoryStore(tmp_path / "data" / "objects")
            stack.callback(store.close)
            parts = assemble(
                public_url=PUBLIC_URL,
                hosts=first.parts.hosts,
                database=database,
                store=store,
                clock=first.clock,
            )
            services.append(dataclasses.replace(first, parts=parts, store=store))
        clients = [await stack.enter_async_context(one.client()) for one in services]
        yield Sides(services, clients, random.Random(20261122))


async def _send(sides: Sides, content: bytes) -> bool:
    """Send it; whether that was acknowledged."""
    await sides.pause()
    answer = await sides.clients[0].post("/v1/blobs/uploads", content=content, headers=BYTES)
    assert answer.status_code in {200, 201, 503}, answer.text
    return answer.status_code != 503


async def _ask(sides: Sides, content: bytes) -> bool:
    """Ask whether it is missing, and name it where it is not; whether it was said to be here."""
    await sides.pause()
    digest = f"sha256:{sha256(content)}"
    answer = await sides.clients[1].post("/v1/blobs/missing", json={"digests": [digest]})
    if answer.json()["missing"]:
        return False
    await sides.pause()
    said = reference(content, uri="https://example.com/x", name="x")
    assert (await sides.clients[1].post("/v1/artifacts", json=said)).status_code in {200, 201}
    return True


async def test_bytes_that_were_acknowledged_in_a_race_with_their_removal_can_be_read(sides: Sides) -> None:
    told: Counter[str] = Counter()
    for number in range(ROUNDS):
        contents = [b"round %d, bytes %d" % (number, n) for n in range(AT_ONCE)]
        digests = [await unnamed(sides.services[0], content) for content in contents]
        sides.services[0].clock.advance(DAY + 1)
        racing: list[Awaitable[bool]] = [_send(sides, content) for content in contents]
        racing += [_ask(sides, content) for content in contents]
        *kept, _ = await asyncio.gather(*racing, sides.collect())
        await sides.settle()
        for digest, content, sent, asked in zip(digests, contents, kept, kept[AT_ONCE:], strict=False):
            here = await is_here(sides.clients[1], digest)
            assert here or not (sent or asked), (number, content, sent, asked)
            if here:
                found = await sides.services[1].store.read(layout.blob("default", digest))
                assert found == content
            told[f"sent {bool(sent)}, asked {bool(asked)}, here {here}"] += 1
    print(dict(told))
    assert sides.rows("SELECT state FROM tombstone WHERE state <> 'gone'") == []
    assert {line.endswith("True") for line in told} == {True, False}, "one side was always faster"
    assert sides.rows("SELECT topic FROM queue WHERE kind = 'remove'") == []


def _tree(number: int) -> tuple[Tree, Pack]:
    contents = [b"tree %d, content %d" % (number, n) for n in range(3)]
    return Tree([file(f"f{n}", content) for n, content in enumerate(contents)]), Pack.of(contents)


async def _propose(sides: Sides, tree: Tree, pack: Pack) -> None:
    answer = await put_manifest(sides.clients[0], tree)
    assert answer.status_code in {200, 201, 503}, answer.text
    await sides.pause()
    answer = await sides.clients[0].post(tree.url, json={"packs": [pack.index]})
    assert answer.status_code in {200, 202, 404, 409}, answer.text


async def _check(sides: Sides) -> None:
    for _ in range(6):
        await sides.pause()
        await sides.work(CHECK)


async def _remove_at_once(sides: Sides, pack: Pack) -> None:
    """As a purge would: without any grace."""
    await sides.pause()
    async with sides.services[-1].database.writing() as connection:
        thing = Thing("default", "blob", Digest.parse(pack.digest))
        await sides.removals.decide(connection, thing, reason="purged", now=1)
    await sides.work(REMOVE)


async def _collect_some_time(sides: Sides) -> None:
    await sides.pause()
    await sides.collect()


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_tree_that_is_present_after_a_race_with_removals_can_be_read_whole(
    sides: Sides, at_once: bool
) -> None:
    states: Counter[str] = Counter()
    for number in range(ROUNDS):
        tree, pack = _tree(number)
        await unnamed(sides.services[0], pack.content)
        sides.services[0].clock.advance(DAY + 1)
        removing = _remove_at_once(sides, pack) if at_once else _collect_some_time(sides)
        await asyncio.gather(_propose(sides, tree, pack), _check(sides), removing)
        await sides.settle()
        state = (await sides.clients[1].get(tree.url)).json().get("state", "none")
        if state == "present":
            got = await sides.clients[1].get(f"{tree.url}?as=tar")
            assert got.status_code == 200
            assert all(b"tree %d, content %d" % (number, n) in got.content for n in range(3))
            assert await is_here(sides.clients[1], pack.digest)
        states[state] += 1
    print(dict(states))
    assert sides.rows("SELECT pack FROM location WHERE pack NOT IN (SELECT digest FROM receipt)") == []
    assert sides.rows("SELECT part FROM tree_part WHERE part NOT IN (SELECT digest FROM receipt)") == []


async def test_many_cycles_of_collecting_under_load_lose_nothing(sides: Sides) -> None:
    """Every cycle something is kept, something goes, and something comes again."""
    kept: dict[Digest, bytes] = {}
    for cycle in range(ROUNDS * 4):
        content = b"cycle %d" % (cycle % 10)
        if await _send(sides, content):
            kept[Digest.of(content)] = content
        await unnamed(sides.services[1], b"garbage %d" % cycle)
        sides.services[0].clock.advance(DAY / 8)
        await asyncio.gather(sides.collect(), _ask(sides, content), _send(sides, b"other %d" % (cycle % 5)))
    await sides.settle()
    for digest, content in kept.items():
        answer = await sides.clients[2].get(f"/v1/blobs/{digest}")
        assert (answer.status_code, answer.content) == (200, content)
