"""The index on PostgreSQL fails in eight ways; callers are told to come back, and then it works.

Whatever was acknowledged before, or by an answer of success during the fault, is there
afterwards; what was answered 503 may be repeated and succeeds.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it has no types
import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from api.parts import assemble
from artifacts.db import Patience, connect
from artifacts.errors import UnavailableError
from tests.attacks.actors import OpenStep, an_id, begin
from tests.attacks.remains import query, remains
from tests.postgres import Cluster, a_cluster
from tests.service import PUBLIC_URL, Service, a_service, reference, sha256

pytestmark = pytest.mark.slow
SHORT = Patience(
    connections=3, connection_seconds=0.5, statement_seconds=0.5, lock_seconds=0.2, idle_seconds=20
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that is stopped and killed here, and so writes through to the disk."""
    with a_cluster() as made:
        yield made


@dataclass
class Scene:
    """A service over an index that is about to fail."""

    service: Service
    client: httpx2.AsyncClient
    cluster: Cluster
    name: str
    step: OpenStep

    async def admin(self) -> asyncpg.Connection:
        """A connection of our own to the database of the service."""
        return await asyncpg.connect(
            host=str(self.cluster.folder), port=5432, user="custody", database=self.name
        )


@pytest.fixture
async def scene(tmp_path: Path, cluster: Cluster) -> AsyncIterator[Scene]:
    name = cluster.migrated()
    async with a_service(tmp_path, index=cluster.url(name)) as built:
        database = connect(cluster.url(name), SHORT)
        parts = assemble(
            public_url=PUBLIC_URL,
            hosts=built.parts.hosts,
            database=database,
            store=built.store,
            clock=built.clock,
        )
        impatient = Service(parts, built.clock, built.store, built.signer, built.folder)
        async with impatient.client() as client:
            step = await begin(client)
            yield Scene(impatient, client, cluster, name, step)
        await database.close()
    cluster.drop(name)


Operation = Callable[["Scene"], Awaitable[httpx2.Response]]
Fault = Callable[["Scene"], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def refused(scene: Scene) -> AsyncIterator[None]:
    """Nobody listens."""
    scene.cluster.stop()
    try:
        yield
    finally:
        scene.cluster.start()


@asynccontextmanager
async def stopped_at_once(scene: Scene) -> AsyncIterator[None]:
    """The server is stopped as by a power cut, and comes back with what it had promised."""
    scene.cluster.stop(signal.SIGQUIT)
    scene.cluster.start()
    yield


@asynccontextmanager
async def killed_backends(scene: Scene) -> AsyncIterator[None]:
    """Every connection that waits in the pool is gone."""
    ours = await scene.admin()
    await killed(ours, scene)
    await ours.close()
    yield


@asynccontextmanager
async def locked(scene: Scene) -> AsyncIterator[None]:
    """Somebody holds every table."""
    ours = await scene.admin()
    async with ours.transaction():
        tables = await ours.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        await ours.execute(f"LOCK TABLE {', '.join(row[0] for row in tables)} IN ACCESS EXCLUSIVE MODE")
        yield
    await ours.close()


@asynccontextmanager
async def triggered(scene: Scene, statement: str) -> AsyncIterator[None]:
    """Every statement that writes does this first."""
    ours = await scene.admin()
    await ours.execute(
        f"CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {statement}; RETURN NULL; END$$"
    )
    tables = await ours.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for row in tables:
        await ours.execute(
            f"CREATE TRIGGER tripping BEFORE INSERT OR UPDATE ON {row[0]} EXECUTE FUNCTION trip()"
        )
    try:
        yield
    finally:
        await ours.execute("DROP FUNCTION trip CASCADE")
        await ours.close()


def slow(scene: Scene) -> AbstractAsyncContextManager[None]:
    """Every statement that writes takes too long."""
    return triggered(scene, "PERFORM pg_sleep(5)")


def undone(scene: Scene) -> AbstractAsyncContextManager[None]:
    """Every transaction that writes is undone, as one of two in a deadlock is."""
    return triggered(scene, "RAISE EXCEPTION USING ERRCODE = '40P01'")


@asynccontextmanager
async def exhausted(scene: Scene) -> AsyncIterator[None]:
    """Every connection of the pool is taken."""
    release = asyncio.Event()
    taken = asyncio.Semaphore(0)

    async def hold() -> None:
        async with scene.service.database.reading():
            taken.release()
            await release.wait()

    holding = [asyncio.create_task(hold()) for _ in range(SHORT.connections)]
    for _ in holding:
        await taken.acquire()
    try:
        yield
    finally:
        release.set()
        await asyncio.gather(*holding)


@asynccontextmanager
async def reading_only(scene: Scene) -> AsyncIterator[None]:
    """The server has become one that only reads, as after a failover."""
    ours = await scene.admin()
    await ours.execute(f"ALTER DATABASE {scene.name} SET default_transaction_read_only = on")
    await killed(ours, scene)
    try:
        yield
    finally:
        await ours.execute("SET default_transaction_read_only = off")
        await ours.execute(f"ALTER DATABASE {scene.name} RESET default_transaction_read_only")
        await killed(ours, scene)
        await ours.close()


async def killed(ours: asyncpg.Connection, scene: Scene) -> None:
    """End the others' connections, so that new ones have the new settings."""
    await ours.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
        scene.name,
    )


FAULTS: list[Fault] = [
    refused,
    stopped_at_once,
    killed_backends,
    locked,
    slow,
    exhausted,
    reading_only,
    undone,
]


def _begin(scene: Scene) -> Awaitable[httpx2.Response]:
    return scene.client.post("/v1/steps", json={"id": BEGUN, "name": "x", "token_sha256": "0" * 64})


def _record(scene: Scene) -> Awaitable[httpx2.Response]:
    body = {"id": RECORDED, "name": "x", "outcome": "succeeded", "outputs": [reference(b"y", name="y")]}
    return scene.client.post("/v1/records", json=body)


def _inputs(scene: Scene) -> Awaitable[httpx2.Response]:
    return scene.client.post(f"{scene.step.url}/inputs", json={"inputs": [reference(b"i", name="i")]})


def _output(scene: Scene) -> Awaitable[httpx2.Response]:
    return scene.client.put(f"{scene.step.url}/outputs/o", content=BYTES[_output])


def _finish(scene: Scene) -> Awaitable[httpx2.Response]:
    return scene.client.post(f"{scene.step.url}/finish", json={"outcome": "succeeded"})


def _blob(scene: Scene) -> Awaitable[httpx2.Response]:
    headers = {"Content-Type": "application/octet-stream"}
    return scene.client.post("/v1/blobs/uploads", content=BYTES[_blob], headers=headers)


def _page(scene: Scene) -> Awaitable[httpx2.Response]:
    return scene.client.get(scene.step.url)


BEGUN, RECORDED = an_id(), an_id()
OPERATIONS: list[Operation] = [_begin, _record, _inputs, _output, _finish, _blob, _page]


BEFORE = b"acknowledged before"
BYTES: dict[Operation, bytes] = {_output: b"an output", _blob: b"bytes"}
ALL = frozenset(OPERATIONS)
WRITES = ALL - {_page}
SOME = frozenset[Operation]()
FELT: dict[Fault, frozenset[Operation]] = {
    refused: ALL,
    locked: ALL,
    exhausted: ALL,
    slow: WRITES,
    undone: WRITES,
    reading_only: WRITES,
}
"""Who must feel what: a broken connection is felt by whoever meets it, and then gone."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_callers_are_told_to_come_back_and_then_it_works(scene: Scene, fault: Fault) -> None:
    earlier = await scene.client.put(f"{scene.step.url}/outputs/before", content=BEFORE)
    assert earlier.status_code == 201
    acknowledged: set[Operation] = set()
    async with fault(scene):
        for operation in OPERATIONS:
            answer = await operation(scene)
            if answer.status_code == 503:
                assert answer.headers["Retry-After"] == "1"
                assert answer.json()["type"].endswith(("#unavailable", "#gave-way"))
            else:
                assert answer.status_code in {200, 201, 202}, answer.text
                acknowledged.add(operation)
    turned_away = ALL - acknowledged
    assert turned_away, "nobody felt anything"
    assert turned_away >= FELT.get(fault, SOME), {one.__name__ for one in acknowledged}
    assert_there(scene, acknowledged)
    await everything_works(scene)


KEPT: dict[Operation, tuple[str, object]] = {
    _begin: ("SELECT id FROM step WHERE id = ?", BEGUN),
    _record: ("SELECT step FROM step_ledger WHERE state = 'sealed' AND step = ?", RECORDED),
    _inputs: ("SELECT name FROM step_input WHERE name = 'i' AND step = ?", None),
    _output: ("SELECT name FROM step_output WHERE name = 'o' AND step = ?", None),
    _finish: ("SELECT step FROM step_ledger WHERE state = 'sealed' AND step = ?", None),
    _blob: ("SELECT size FROM receipt WHERE size = ?", len(BYTES[_blob])),
}
"""Where what each operation acknowledges is to be found, and by which value; None is the step of the scene."""


def assert_there(scene: Scene, acknowledged: set[Operation]) -> None:
    """Nothing that was acknowledged is lost."""
    folder = scene.service.folder / "data"
    assert query(folder, "SELECT step FROM step_output WHERE name = 'before'") == [(scene.step.id,)]
    assert {sha256(BEFORE), *(sha256(BYTES[one]) for one in acknowledged & set(BYTES))} <= set(
        remains(folder).objects.values()
    )
    for operation in acknowledged & set(KEPT):
        statement, value = KEPT[operation]
        assert query(folder, statement, value or scene.step.id), operation.__name__


async def everything_works(scene: Scene) -> None:
    """What failed succeeds when it is repeated; a pool of broken connections takes a few requests to mend."""
    for operation in OPERATIONS:
        for _ in range(10 * SHORT.connections):
            answer = await operation(scene)
            if answer.status_code != 503:
                break
        # The step may have been finished meanwhile, and then takes nothing more.
        expected = {200, 201, 202, 409} if operation in {_inputs, _output} else {200, 201, 202}
        assert answer.status_code in expected, (operation.__name__, answer.text)


async def test_a_connection_that_ends_after_the_last_answer_is_an_outage_too(scene: Scene) -> None:
    ours = await scene.admin()

    async def ask(block: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        async with block() as connection:
            await connection.execute(sa.text("SELECT 1"))
            await killed(ours, scene)

    for block in (scene.service.database.reading, scene.service.database.writing):
        with pytest.raises(UnavailableError):
            await ask(block)
    await ours.close()
