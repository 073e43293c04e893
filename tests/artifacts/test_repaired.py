"""What a worker hears of a repair."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from artifacts import receipts
from artifacts.clock import to_milliseconds
from artifacts.content import HASH
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.storage.protocol import ObjectStore
from artifacts.upkeep import Upkeep
from tests.service import Service, a_service
from tests.trees.shapes import Tree, file, send, upload

CONTENT = b"what was sent"
LARGE = b"large" * 300_000


STEP = "/v1/steps/01K5AAAAAAAAAAAAAAAAAAAAAA"


def damage(folder: Path, content: bytes = CONTENT) -> Path:
    """Write other bytes where `content` lies; return where that is."""
    name = hashlib.sha256(content).hexdigest()
    path = next((folder / "data/objects/projects/default/blobs").rglob(name))
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    return path


async def begin(client: httpx2.AsyncClient) -> None:
    """Begin a step that makes `CONTENT`."""
    await client.post("/v1/steps", json={"id": STEP[-26:], "name": "x", "token_sha256": "0" * 64})
    assert (await client.put(f"{STEP}/outputs/it", content=CONTENT)).status_code == 201


async def state(client: httpx2.AsyncClient, url: str = STEP) -> str:
    """What became of a step or a tree."""
    told: str = (await client.get(url)).json()["state"]
    return told


async def send_in_parts(client: httpx2.AsyncClient) -> None:
    """Send `CONTENT` as a resumable upload."""
    body = {"size": len(CONTENT), "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}
    told = (await client.post("/v1/blobs/uploads?resumable=1", json=body)).json()
    url = f"/v1/blobs/uploads/{told['upload']}"
    assert (await client.put(f"{url}/parts/1", content=CONTENT)).status_code == 201
    assert (await client.post(f"{url}/complete")).json()["state"] == "present"


class LatePuts:
    """A store whose caller is late with each `put`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.waits, self.goes_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:  # Any: a method of the store
        return getattr(self._store, name)

    async def put(self, key: Key, content: bytes) -> None:
        """Write `content`, once that may go on."""
        self.waits.set()
        await self.goes_on.wait()
        await self._store.put(key, content)


async def repaired_meanwhile(service: Service, client: httpx2.AsyncClient, content: bytes) -> None:
    """A worker finds `content` damaged, and says so only after good bytes were acknowledged."""
    damage(service.folder, content)
    (job,) = await taken(service)
    late = LatePuts(service.store)
    upkeep = Upkeep(service.database, cast("ObjectStore", late), service.clock)
    reading_back = asyncio.create_task(upkeep.read_back(job))
    await late.waits.wait()
    await upload(client, content)
    late.goes_on.set()
    await reading_back
    told = await receipts.read(service.store, "default", Digest.of(content), kind=receipts.WORKER)
    assert told is not None
    assert not told.holds


async def taken(service: Service) -> list[Job]:
    """What a worker leases now."""
    now = to_milliseconds(service.clock.now())
    async with service.database.writing() as connection:
        return await queue.take(connection, HASH, owner="slow", now=now, lease_ms=30_000, limit=10)


async def test_what_a_worker_saw_before_a_repair_does_not_count(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    damage(service.folder)
    (job,) = await taken(service)
    assert (await client.post("/v1/blobs/uploads", content=CONTENT)).status_code == 200
    async with service.database.writing() as connection:
        assert not await queue.complete(connection, job), "it may have looked before the repair"
    assert await service.read_back() == 1


async def test_sending_bytes_again_that_a_worker_vouches_for_asks_no_worker(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    assert await service.read_back() == 1
    await client.post("/v1/blobs/uploads", content=CONTENT)
    assert await taken(service) == []


@pytest.mark.both_databases
@pytest.mark.parametrize("topic", ["aa" * 32, "bb" * 32])
async def test_a_late_worker_keeps_ends_and_postpones_no_job_but_its_own(
    tmp_path: Path, index: str | None, topic: str
) -> None:
    """SQLite gives the id of a finished job to the next one, which may be about the same bytes."""

    async def add(topic: str) -> None:
        await queue.enqueue(connection, [("default", HASH, topic)], available_at=0)

    async def take(owner: str, now: int) -> Job:
        (job,) = await queue.take(connection, HASH, owner=owner, now=now, lease_ms=5, limit=1)
        return job

    async with a_service(tmp_path, index=index) as service, service.database.writing() as connection:
        await add("aa" * 32)
        late = await take("late", 10)
        assert await queue.complete(connection, await take("quick", 20))
        await add(topic)
        current = await take("other", 30)
        assert not await queue.renew(connection, late, until=99)
        assert not await queue.holds(connection, late)
        await queue.postpone(connection, late, until=99)
        assert not await queue.complete(connection, late)
        assert await queue.renew(connection, current, until=99)
        assert await queue.complete(connection, current)


@pytest.mark.parametrize("in_parts", [False, True])
async def test_good_bytes_in_the_place_of_damaged_ones_that_were_removed_are_read_back_and_signed(
    service: Service, client: httpx2.AsyncClient, in_parts: bool
) -> None:
    await begin(client)
    path = damage(service.folder)
    assert await service.read_back() == 1
    path.unlink()
    await (send_in_parts(client) if in_parts else upload(client, CONTENT))
    await client.post(f"{STEP}/finish", json={"outcome": "succeeded"})
    assert await service.read_back() == 1, "a worker had told of damage"
    await service.sign()
    assert await state(client) == "signed"


async def test_a_tree_with_a_large_file_that_was_damaged_and_removed_is_present_once_it_is_sent_again(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = Tree([file("model.bin", LARGE)])
    await upload(client, LARGE)
    path = damage(service.folder, LARGE)
    await service.read_back()
    path.unlink()
    await upload(client, LARGE)
    await send(client, tree)
    await service.check_trees()
    assert await state(client, tree.url) == "checking"
    await service.read_back()
    service.clock.advance(1)
    await service.check_trees()
    assert await state(client, tree.url) == "present"


async def test_a_step_waits_where_a_late_worker_tells_of_damage_that_is_mended(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await begin(client)
    await client.post(f"{STEP}/finish", json={"outcome": "succeeded"})
    await repaired_meanwhile(service, client, CONTENT)
    await service.sign()
    assert await state(client) == "sealed"
    await service.read_back()
    service.clock.advance(2)
    await service.sign()
    assert await state(client) == "signed"


async def test_a_tree_waits_where_a_late_worker_tells_of_damage_that_is_mended(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = Tree([file("model.bin", LARGE)])
    await upload(client, LARGE)
    await send(client, tree)
    await repaired_meanwhile(service, client, LARGE)
    await service.check_trees()
    assert await state(client, tree.url) == "checking"
    await service.read_back()
    service.clock.advance(1)
    await service.check_trees()
    assert await state(client, tree.url) == "present"


async def test_a_worker_that_lost_its_job_tells_of_no_damage(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await begin(client)
    await client.post(f"{STEP}/finish", json={"outcome": "succeeded"})
    (job,) = await taken(service)
    await upload(client, CONTENT)
    damage(service.folder)
    digest = Digest.of(CONTENT)
    await service.upkeep.read_back(job)
    assert await receipts.read(service.store, "default", digest, kind=receipts.WORKER) is None
    await service.read_back()
    told = await receipts.read(service.store, "default", digest, kind=receipts.WORKER)
    assert told is not None
    assert not told.holds
    await service.sign()
    assert await state(client) == "refused"
