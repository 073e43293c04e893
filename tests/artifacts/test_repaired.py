"""What a worker hears of a repair."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx2

from artifacts.clock import to_milliseconds
from artifacts.content import HASH
from artifacts.queries import queue
from artifacts.queries.queue import Job
from tests.service import Service

CONTENT = b"what was sent"


def damage(folder: Path) -> None:
    """Write other bytes where `CONTENT` lies."""
    name = hashlib.sha256(CONTENT).hexdigest()
    path = next((folder / "data/objects/projects/default/blobs").rglob(name))
    path.chmod(0o600)
    path.write_bytes(b"damaged")


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
