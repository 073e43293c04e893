"""What was purged stays purged when the index is made anew from the bucket."""

from __future__ import annotations

import pytest

from tests.reindex.corpus import journal_tokens, reindex
from tests.repacking.bench import DAY, Anew, assert_readable, contents, finds, keep, remove
from tests.service import Service
from tests.trees.shapes import upload

pytestmark = pytest.mark.both_databases

SECRET = b"a secret that came to light\n"
PLAIN = contents("src", 16)
FEW = {path: PLAIN[path] for path in list(PLAIN)[::4]}


async def test_a_purge_is_still_in_force(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        having = await keep(service, client, PLAIN | {"env": SECRET})
        other = await keep(service, client, PLAIN)
        await upload(client, SECRET)
        await service.read_back()
        await Anew(service).purge(SECRET)
        await service.sign_decisions()
        await service.read_back()
    report = await reindex(fresh)
    assert report.clean, report
    async with fresh.client() as client:
        assert (await client.get(having.url)).json()["state"] == "incomplete"
        await assert_readable(client, other, PLAIN)
        assert (await client.post("/v1/blobs/uploads", content=SECRET)).status_code == 410
    assert await finds(fresh.store, SECRET) == []


async def test_trees_that_were_laid_out_anew_come_back_as_they_were(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        whole = await keep(service, client, PLAIN)
        tree = await keep(service, client, FEW)
        await service.read_back()
        await remove(service, whole)
        service.clock.advance(2 * DAY)
        assert (await Anew(service).compact()).packs >= 1
        service.clock.advance(2 * DAY)
        await Anew(service).settle()
        await service.sign_decisions()
        before = (await client.get(tree.url)).json()
    report = await reindex(fresh)
    assert report.clean, report
    async with fresh.client() as client:
        assert (await client.get(tree.url)).json() == before
        await assert_readable(client, tree, FEW)
