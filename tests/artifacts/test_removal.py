"""How a removal meets uploads: they wait, are refused, or bring the bytes again."""

from __future__ import annotations

import httpx2
import pytest

from artifacts.content import HASH
from artifacts.digest import Digest
from artifacts.errors import BeingRemovedError, NotFoundError
from artifacts.queries import locks, queue
from artifacts.removal import Removals, Thing
from tests.collecting import BYTES, is_here, keys, pieces, unnamed
from tests.service import Service

pytestmark = pytest.mark.both_databases


async def test_bytes_that_are_being_removed_are_asked_for_again_later(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost = await unnamed(service, b"under removal")
    removals = Removals(service.database, service.store, service.clock)
    thing = Thing("default", "blob", lost)
    async with service.database.writing() as connection:
        await locks.alone(connection, "default", [lost])
        assert await removals.decide(connection, thing, reason="unnamed", now=1)
    assert not await is_here(client, lost)
    refused = await client.post("/v1/blobs/uploads", content=b"under removal", headers=BYTES)
    assert refused.status_code == 503, refused.text
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"].endswith("#being-removed")
    assert await service.remove() == 1
    again = await client.post("/v1/blobs/uploads", content=b"under removal", headers=BYTES)
    assert again.status_code == 201
    assert await is_here(client, lost)


async def test_an_upload_that_a_removal_overtook_is_not_acknowledged(service: Service) -> None:
    content = service.parts.content
    taken = await content.receive("default", pieces(b"overtaken"), declared=None)
    removals = Removals(service.database, service.store, service.clock)
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", taken.digest)
        assert await removals.decide(connection, thing, reason="unnamed", now=1)
    await service.remove()
    with pytest.raises(BeingRemovedError):
        async with service.database.writing() as connection:
            await content.note(connection, "default", taken)
    with pytest.raises(NotFoundError):
        await content.size("default", taken.digest)


async def test_what_was_purged_is_not_taken_in_again(service: Service, client: httpx2.AsyncClient) -> None:
    lost = await unnamed(service, b"a secret")
    announced = {"digest": str(lost), "size": len(b"a secret")}
    begun = await client.post("/v1/blobs/uploads?resumable=1", json=announced)
    parts = f"/v1/blobs/uploads/{begun.json()['upload']}"
    removals = Removals(service.database, service.store, service.clock)
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", lost)
        assert await removals.decide(connection, thing, reason="purged", detail="a token", barred=True, now=1)
    await service.remove()
    for _ in range(2):
        refused = await client.post("/v1/blobs/uploads", content=b"a secret", headers=BYTES)
        assert refused.status_code == 410, refused.text
    assert (await client.post("/v1/blobs/uploads?resumable=1", json=announced)).status_code == 410
    await client.put(f"{parts}/parts/1", content=b"a secret", headers=BYTES)
    ended = await client.post(f"{parts}/complete")
    assert (ended.status_code, ended.json()["detail"]) == (422, refused.json()["detail"])
    assert keys(service) == []


async def test_the_word_of_a_worker_that_was_late_goes_with_the_bytes(service: Service) -> None:
    lost = await unnamed(service, b"looked at while removed")
    async with service.database.writing() as connection:
        (job,) = await queue.take(connection, HASH, owner="late", now=1 << 50, lease_ms=1, limit=1)
    removals = Removals(service.database, service.store, service.clock)
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", lost)
        assert await removals.decide(connection, thing, reason="unnamed", now=1)
    await service.upkeep.read_back(job)
    assert len(keys(service)) == 2, "the bytes and what the api said of them"
    await service.remove()
    assert keys(service) == []
    await removals.unsay("default", Digest.of(b"never here"))
    again = await unnamed(service, b"looked at while removed")
    await removals.unsay("default", again)
    await service.read_back()
    await removals.unsay("default", again)
    assert len(keys(service)) == 3
