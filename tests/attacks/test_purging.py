"""A purge in one project: another project feels nothing of it, and learns nothing by it."""

from __future__ import annotations

import re

import httpx2
import pytest

from artifacts.digest import Digest
from tests.attacks.remains import Remains, remains
from tests.repacking.bench import Anew, assert_readable, contents, finds, keep
from tests.service import TOKENS, Service, sha256
from tests.trees.shapes import upload

pytestmark = pytest.mark.both_databases

SECRET = b"what both projects have, and one of them leaked\n"
FILES = contents("src", 8) | {"env": SECRET}


def rows_of(left: Remains, project: str) -> set[tuple[str, tuple[object, ...]]]:
    """Every row that belongs to a project."""
    return {(table, row) for table, rows in left.rows.items() for row in rows if project in row}


async def answers(client: httpx2.AsyncClient, digest: str) -> list[tuple[int, str]]:
    """What can be asked about a digest, without what differs between any two requests."""
    asked = [
        await client.get(f"/v1/blobs/{digest}"),
        await client.get(f"/v1/artifacts/{digest}"),
        await client.get(f"/v1/trees/{digest}"),
        await client.post("/v1/blobs/missing", json={"digests": [digest]}),
        await client.post("/v1/trees/missing", json={"digests": [digest[7:]]}),
    ]
    return [(one.status_code, re.sub(r'"trace_id":"[0-9a-f]{32}"', "", one.text)) for one in asked]


async def test_a_purge_in_one_project_touches_nothing_of_another(service: Service) -> None:
    async with service.client(TOKENS["other"]) as neighbour, service.client() as client:
        theirs = await keep(service, neighbour, FILES)
        await upload(neighbour, SECRET)
        await keep(service, client, FILES)
        await upload(client, SECRET)
        await service.read_back()
        before = remains(service.folder / "data")
        told = await answers(neighbour, f"sha256:{sha256(SECRET)}")
        await Anew(service).purge(SECRET)
        await service.sign_decisions()
        after = remains(service.folder / "data")
        assert rows_of(after, "other") == rows_of(before, "other")
        mine = "projects/other/"
        assert {key: after.objects[key] for key in after.keys(mine)} == {
            key: before.objects[key] for key in before.keys(mine)
        }
        assert await answers(neighbour, f"sha256:{sha256(SECRET)}") == told
        await assert_readable(neighbour, theirs, FILES)
        await upload(neighbour, SECRET)
        assert await finds(service.store, SECRET, "projects/default/") == []


async def test_what_a_neighbour_had_purged_answers_like_what_nobody_ever_had(service: Service) -> None:
    unknown = sha256(b"nobody ever had this")
    async with service.client(TOKENS["other"]) as neighbour, service.client() as client:
        await keep(service, client, FILES)
        await upload(client, SECRET)
        await Anew(service).purge(SECRET)
        theirs = await answers(neighbour, f"sha256:{sha256(SECRET)}")
        nobodys = await answers(neighbour, f"sha256:{unknown}")
        assert theirs == [(code, text.replace(unknown, sha256(SECRET))) for code, text in nobodys]
        # They may have such bytes of their own: the bar is of one project.
        await upload(neighbour, SECRET)
        assert Digest.of(SECRET).hex in (await neighbour.get(f"/v1/artifacts/sha256:{sha256(SECRET)}")).text
