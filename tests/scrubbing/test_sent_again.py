"""A damaged manifest or layout is mended when its tree is sent again."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
import zstandard

from artifacts.digest import Digest
from artifacts.trees import keeping
from artifacts.trees.layout_reading import unfolded
from tests.scrubbing.bench import keys, lying, rewrite, scrub, spoil, the
from tests.service import Service
from tests.trees.shapes import ZSTD, Tree, a_pack, a_tree, put_manifest, send

pytestmark = pytest.mark.both_databases


async def present(service: Service, client: httpx2.AsyncClient) -> Tree:
    """A tree that a worker has checked."""
    tree = a_tree()
    await send(client, tree, a_pack())
    await service.check_trees()
    return tree


@pytest.mark.parametrize("damage", ["changed", "cut off", "emptied", "gone"])
async def test_a_manifest_that_is_sent_again_takes_the_place_of_a_damaged_one(
    service: Service, client: httpx2.AsyncClient, damage: str
) -> None:
    tree = await present(service, client)
    path = the(service, "projects/default/trees")
    good = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        rewrite(path, {"changed": good[:-1] + b"X", "cut off": good[:20], "emptied": b""}[damage])
    assert (await put_manifest(client, tree)).status_code == 200
    answer = await client.get(f"{tree.url}/manifest")
    assert unfolded(answer.content) == tree.text
    assert (await client.get(f"{tree.url}?as=tar")).status_code == 200
    assert (await scrub(service)).clean


async def test_what_takes_the_place_of_a_damaged_manifest_may_be_compressed_otherwise(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await present(service, client)
    path = the(service, "projects/default/trees")
    before = spoil(path)
    frame = zstandard.ZstdCompressor(level=19, write_checksum=False).compress(tree.text)
    assert frame != before
    answer = await client.put(f"{tree.url}/manifest", content=frame, headers=ZSTD)
    assert answer.status_code == 200
    assert (await client.get(f"{tree.url}/manifest")).content == frame
    assert (await scrub(service)).clean


async def test_a_whole_manifest_stays_however_it_is_compressed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await present(service, client)
    path = the(service, "projects/default/trees")
    before = path.read_bytes()
    frame = zstandard.ZstdCompressor(level=19, write_checksum=False).compress(tree.text)
    assert (await client.put(f"{tree.url}/manifest", content=frame, headers=ZSTD)).status_code == 200
    assert path.read_bytes() == before
    assert lying(service, "staging") == []


async def test_of_many_who_mend_one_manifest_in_many_forms_the_row_names_the_one_that_stays(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await present(service, client)
    spoil(the(service, "projects/default/trees"))
    frames = [
        zstandard.ZstdCompressor(level=level, write_checksum=bool(level % 2)).compress(tree.text)
        for level in range(1, 17)
    ]
    sent = [client.put(f"{tree.url}/manifest", content=frame, headers=ZSTD) for frame in frames]
    answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert 200 in {answer.status_code for answer in answers}
    assert unfolded((await client.get(f"{tree.url}/manifest")).content) == tree.text
    assert (await scrub(service)).clean


@pytest.mark.parametrize("way", ["manifest", "proposal"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
async def test_a_damaged_layout_is_made_anew_once_its_tree_is_sent_again(
    service: Service, client: httpx2.AsyncClient, way: str, damage: str
) -> None:
    tree = await present(service, client)
    path = the(service, "projects/default/layouts")
    good = (await client.get(f"{tree.url}/layout")).content
    spoil(path) if damage == "changed" else path.unlink()
    if way == "manifest":
        await put_manifest(client, tree)
    else:
        assert (await client.post(tree.url, json={"packs": []})).status_code == 200
    assert await service.check_trees() == 1
    assert (await client.get(f"{tree.url}/layout")).content == good
    assert (await scrub(service)).clean


async def test_a_whole_layout_is_not_looked_at_by_a_worker_again(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await present(service, client)
    await put_manifest(client, tree)
    await client.post(tree.url, json={"packs": []})
    assert await service.check_trees() == 0


async def test_a_tree_whose_manifest_is_damaged_too_keeps_its_damaged_layout(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await present(service, client)
    spoil(the(service, "projects/default/layouts"))
    await client.post(tree.url, json={"packs": []})
    spoil(the(service, "projects/default/trees"))
    assert await service.check_trees() == 1
    assert len(keys(await scrub(service))) == 2


async def test_a_layout_is_kept_over_what_is_none_and_left_where_it_is_one(service: Service) -> None:
    text = b"custody-layout/v1 " + b"0" * 64 + b"\n" + b"p 1\n" * 99
    first, second = (
        zstandard.ZstdCompressor(level=level, write_checksum=False).compress(text) for level in (1, 19)
    )
    assert first != second
    at, digest = service.clock.now(), Digest.of(text)

    async def kept(written: bytes) -> Digest:
        return (await keeping.keep_layout(service.store, "default", digest, written, at=at))[0]

    assert await kept(first) == Digest.of(first)
    assert await kept(second) == Digest.of(first)
    rewrite(the(service, "projects/default/layouts"), b"no layout")
    assert await kept(second) == Digest.of(second)
