"""The bytes of a single file of a tree, by its own digest."""

from __future__ import annotations

import base64
import hashlib

import httpx2
import pytest

from artifacts.digest import Digest
from tests.attacks.actors import begin
from tests.service import TOKENS, Service, sha256
from tests.trees.shapes import CONTENTS, a_pack, a_tree, send

FILE = CONTENTS["src/b.py"]
URL = f"/v1/blobs/sha256:{sha256(FILE)}"


async def stored(service: Service, client: httpx2.AsyncClient) -> None:
    assert (await send(client, a_tree(), a_pack())).status_code == 202
    await service.check_trees()


async def test_a_file_is_served_like_a_blob_once_a_worker_has_seen_it(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await send(client, a_tree(), a_pack())
    assert (await client.get(URL)).status_code == 404
    await service.check_trees()
    got = await client.get(URL)
    assert (got.status_code, got.content) == (200, FILE)
    assert got.headers["etag"] == f'"sha256:{sha256(FILE)}"'
    raw = base64.b64encode(hashlib.sha256(FILE).digest()).decode()
    assert got.headers["repr-digest"] == f"sha-256=:{raw}:"
    asked = await client.head(URL)
    assert (asked.headers["content-length"], asked.content) == (str(len(FILE)), b"")
    same = await client.get(URL, headers={"If-None-Match": got.headers["etag"]})
    assert same.status_code == 304
    for content in CONTENTS.values():
        assert (await client.get(f"/v1/blobs/sha256:{sha256(content)}")).content == content
    # The store has the pack alone, so there is no URL to redirect to.
    assert (await client.get(f"{URL}?redirect=1")).content == FILE


@pytest.mark.parametrize("asked", [(0, 0), (7, 30), (100_000, len(FILE) - 1)])
async def test_a_range_of_a_file_is_cut_from_the_whole(
    service: Service, client: httpx2.AsyncClient, asked: tuple[int, int]
) -> None:
    await stored(service, client)
    first, last = asked
    got = await client.get(URL, headers={"Range": f"bytes={first}-{last}"})
    assert (got.status_code, got.content) == (206, FILE[first : last + 1])
    assert got.headers["content-range"] == f"bytes {first}-{last}/{len(FILE)}"


async def test_nobody_else_reads_it(service: Service, client: httpx2.AsyncClient) -> None:
    await stored(service, client)
    async with service.client(TOKENS["other"]) as neighbour:
        assert (await neighbour.get(URL)).status_code == 404
    step = await begin(client)
    async with service.client(step.token) as own:
        assert (await own.get(URL)).status_code == 403


async def test_a_damaged_frame_gives_no_byte_of_a_file(service: Service, client: httpx2.AsyncClient) -> None:
    await stored(service, client)
    pack = Digest.parse(a_pack().digest).hex
    path = service.folder / f"data/objects/projects/default/blobs/sha256/{pack[:2]}/{pack[2:4]}/{pack}"
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    for headers in ({}, {"Range": "bytes=0-3"}):
        assert (await client.get(URL, headers=headers)).content == b""
