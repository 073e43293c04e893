"""Removing from a bucket: a DELETE is sent once, and until none can be late nobody puts bytes in its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from artifacts.digest import Digest
from artifacts.labour import LEASE_MS, Labourer
from artifacts.queries.queue import Job
from artifacts.removal import REMOVE, Removals, Thing
from tests.attacks.remains import query
from tests.collecting import BYTES, DAY, unnamed
from tests.fakes.s3.faults import Fault
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.s3 import store_over
from tests.service import Service, a_service

LATE = 130
CONTENT = b"in a bucket"


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    with a_fake_s3(silence=0.1) as one:
        yield one


@pytest.fixture
async def service(tmp_path: Path, fake: FakeS3) -> AsyncIterator[Service]:
    store = store_over(fake, impatient=True)
    async with a_service(tmp_path, kept_in=store) as built:
        yield built
    store.close()


@pytest.fixture
async def lost(service: Service) -> Digest:
    """Bytes whose removal is decided."""
    digest = await unnamed(service, CONTENT)
    await service.read_back()
    service.clock.advance(DAY + 1)
    async with service.database.writing() as connection:
        removals = Removals(service.database, service.store, service.clock)
        now = int(service.clock.now().timestamp() * 1000)
        assert await removals.decide(connection, Thing("default", "blob", digest), reason="unnamed", now=now)
    return digest


class Worker:
    """Removes, and remembers what failed."""

    def __init__(self, service: Service) -> None:
        self.failures: list[Exception] = []
        removals = Removals(service.database, service.store, service.clock, late_seconds=LATE)
        self._labourer = Labourer(
            service.database, service.clock, REMOVE, "worker", removals.remove, self._note
        )

    def _note(self, _: Job, error: Exception) -> None:
        self.failures.append(error)

    async def round(self) -> int:
        return await self._labourer.round()


def state(service: Service) -> str:
    ((found,),) = query(service.folder / "data", "SELECT state FROM tombstone")
    return str(found)


def lying(fake: FakeS3, digest: Digest) -> list[str]:
    return [key for key in fake.shelf.objects if digest.hex in key]


async def refused(client: httpx2.AsyncClient) -> int:
    """How long an upload is told to wait; 0 where it is taken."""
    answer = await client.post("/v1/blobs/uploads", content=CONTENT, headers=BYTES)
    return int(answer.headers["retry-after"]) if answer.status_code == 503 else 0


async def test_every_object_goes_with_one_delete_and_receipts_go_first(
    service: Service, fake: FakeS3, lost: Digest, client: httpx2.AsyncClient
) -> None:
    deleted: list[str] = []
    fake.before = lambda name: deleted.append(name) if name == "DeleteObject" else None
    worker = Worker(service)
    assert len(lying(fake, lost)) == 3
    assert await worker.round() == 1
    assert len(deleted) == 3
    assert (lying(fake, lost), state(service)) == ([], "deleting")
    assert await refused(client) > 0
    service.clock.advance(LATE)
    assert await worker.round() == 1
    assert (len(deleted), state(service)) == (3, "gone")
    assert await refused(client) == 0
    assert len(lying(fake, lost)) == 2
    assert worker.failures == []


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.LOST_ANSWER, Fault.INTERNAL_ERROR])
async def test_a_delete_whose_answer_was_lost_is_waited_for_and_not_repeated(
    service: Service, fake: FakeS3, lost: Digest, client: httpx2.AsyncClient, fault: Fault
) -> None:
    deleted: list[str] = []
    fake.before = lambda name: deleted.append(name) if name == "DeleteObject" else None
    fake.faults.add("DeleteObject", fault)
    worker = Worker(service)
    assert await worker.round() == 1
    assert (len(worker.failures), len(deleted)) == (1, 1)
    for _ in range(2):
        # Whoever takes the job after this comes when that DELETE can be under way no more.
        assert await worker.round() == 0
        assert await refused(client) > 0
        service.clock.advance(LATE / 2)
    service.clock.advance(LEASE_MS / 1000)
    assert await worker.round() == 1
    service.clock.advance(LATE)
    assert await worker.round() == 1
    assert (lying(fake, lost), state(service)) == ([], "gone")
    assert len(worker.failures) == 1
    assert await refused(client) == 0


async def test_what_came_late_from_an_upload_that_was_refused_goes_too(
    service: Service, fake: FakeS3, lost: Digest
) -> None:
    worker = Worker(service)
    name = next(key for key in lying(fake, lost) if "/blobs/" in key)
    late = fake.shelf.objects[name]
    assert await worker.round() == 1
    fake.shelf.objects[name] = late
    service.clock.advance(LATE)
    assert await worker.round() == 1
    assert (lying(fake, lost), state(service)) == ([], "deleting")
    service.clock.advance(LATE)
    assert await worker.round() == 1
    assert state(service) == "gone"
