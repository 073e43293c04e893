"""Removals of one project: another learns nothing of them, loses nothing by them and cannot ask for them."""

from __future__ import annotations

import httpx2

from artifacts.removal import Removals, Thing
from tests.attacks.remains import query
from tests.collecting import BYTES, DAY, is_here, keys, named, unnamed
from tests.service import TOKENS, Service

CONTENT = b"the same bytes in two projects"


async def test_what_one_project_removes_another_neither_sees_nor_loses(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost = await unnamed(service, CONTENT)
    async with service.client(TOKENS["other"]) as other:
        kept = await named(other, CONTENT, "mine")
        removals = Removals(service.database, service.store, service.clock)
        async with service.database.writing() as connection:
            thing = Thing("default", "blob", lost)
            assert await removals.decide(
                connection, thing, reason="purged", detail="a secret", barred=True, now=1
            )
        again = await other.post("/v1/blobs/uploads", content=CONTENT, headers=BYTES)
        assert again.status_code == 200, again.text
        await service.remove()
        assert await is_here(other, kept)
        assert "removed" not in (await other.get(f"/v1/artifacts/{kept}")).json()
        assert (await client.post("/v1/blobs/uploads", content=CONTENT, headers=BYTES)).status_code == 410
    assert [name for name in keys(service) if lost.hex in name] == []
    assert len(keys(service, "other")) == 3
    assert query(service.folder / "data", "SELECT project FROM tombstone") == [("default",)]


async def test_asking_for_another_projects_bytes_keeps_them_not(service: Service) -> None:
    lost = await unnamed(service, CONTENT)
    service.clock.advance(DAY - 1)
    async with service.client(TOKENS["other"]) as other:
        asked = await other.post("/v1/blobs/missing", json={"digests": [str(lost)]})
        assert asked.json() == {"missing": [str(lost)]}
        assert (await other.get(f"/v1/blobs/{lost}")).status_code == 404
    await service.parts.naming.write_uses()
    service.clock.advance(2)
    assert (await service.collect()).things == {("default", "blob", "unnamed"): 1}
    assert query(service.folder / "data", "SELECT * FROM last_use") == []
    assert keys(service) == []
