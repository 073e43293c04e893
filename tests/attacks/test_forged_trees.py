"""Forged manifests and claims: nothing of them is served, located or vouched for."""

from __future__ import annotations

import copy
from typing import Any

import httpx2
import pytest

from artifacts.digest import Digest
from artifacts.errors import UnavailableError
from artifacts.labour import LEASE_MS
from artifacts.queries import queue
from artifacts.trees import compression
from artifacts.trees.checking import Checker
from artifacts.trees.manifest import HEADER
from artifacts.trees.taking import CHECK
from tests.attacks.lies import exchanged, other_file
from tests.attacks.raw import assert_problem
from tests.attacks.remains import change, query, remains
from tests.attacks.wreckage import nothing_of_it, outcome
from tests.service import Service, sha256
from tests.trees.evil import EVIL
from tests.trees.shapes import (
    TARGET,
    ZSTD,
    Pack,
    Tree,
    a_pack,
    a_tree,
    file,
    link,
    put_manifest,
    raw,
    send,
    upload,
)
from tests.trees.test_packs import EVIL_FRAMES, bomb


@pytest.mark.parametrize("name", EVIL)
async def test_an_evil_manifest_leaves_nothing(
    service: Service, client: httpx2.AsyncClient, name: str
) -> None:
    before = remains(service.folder / "data")
    digest = f"sha256:{sha256(EVIL[name])}"
    content = compression.encode(EVIL[name])
    answer = await client.put(f"/v1/trees/{digest}/manifest", content=content, headers=ZSTD)
    assert answer.status_code in {413, 422}
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_manifest_under_another_digest_leaves_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    before = remains(service.folder / "data")
    url = f"/v1/trees/sha256:{sha256(b'other')}/manifest"
    answer = await client.put(url, content=compression.encode(a_tree().text), headers=ZSTD)
    assert_problem(answer, 422, "digest-mismatch")
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize("frame", [*EVIL_FRAMES.values(), bomb(1 << 32), HEADER], ids=range(17))
async def test_a_manifest_in_a_dishonest_frame_leaves_nothing(
    service: Service, client: httpx2.AsyncClient, frame: bytes
) -> None:
    before = remains(service.folder / "data")
    answer = await client.put(f"{a_tree().url}/manifest", content=frame, headers=ZSTD)
    assert answer.status_code in {413, 422}
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (file("a", b"four")._replace(size=5), "4 bytes, not 5"),
        (file("a", b"four")._replace(size=3), "4 bytes, not 3"),
        (file("a", b"four")._replace(size=0), "its size is 0"),
        (link("a", b"nu\0l"), "target of a link"),
    ],
)
async def test_a_manifest_that_lies_about_a_content_is_refused(
    service: Service, client: httpx2.AsyncClient, entry: Any, why: str
) -> None:
    tree = Tree([entry, file("fine", b"fine")])
    await send(client, tree, Pack.of([b"four", b"nu\0l", b"fine"]))
    assert await outcome(service, client, tree) == "refused"
    assert why in (await client.get(tree.url)).json()["reason"]
    assert remains(service.folder / "data").keys("projects/default/receipts/tree/") == []


async def test_a_large_content_must_be_a_large_blob_of_that_size(
    service: Service, client: httpx2.AsyncClient
) -> None:
    large = b"large" * 300_000
    await upload(client, large)
    await service.read_back()
    for size, state in ((len(large) + 1, "refused"), (4, "incomplete")):
        tree = Tree([file("a", large)._replace(size=size)])
        await send(client, tree)
        assert await outcome(service, client, tree) == state


async def test_a_damaged_large_blob_refuses_its_tree(service: Service, client: httpx2.AsyncClient) -> None:
    large = b"large" * 300_000
    await upload(client, large)
    (path,) = (service.folder / "data/objects/projects/default/blobs").rglob(sha256(large))
    path.chmod(0o600)
    path.write_bytes(b"L" + large[1:])
    await service.read_back()
    tree = Tree([file("a", large)])
    await send(client, tree)
    assert await outcome(service, client, tree) == "refused"


async def test_a_pack_damaged_after_its_upload_is_refused(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, pack = a_tree(), a_pack()
    await put_manifest(client, tree)
    await upload(client, pack.content)
    (path,) = (service.folder / "data/objects/projects/default/blobs").rglob(pack.digest[7:])
    path.chmod(0o600)
    path.write_bytes(pack.content[:-1] + b"\0")
    await client.post(tree.url, json={"packs": [pack.index]})
    assert await outcome(service, client, tree) == "refused"
    nothing_of_it(service)


async def test_a_pack_of_another_project_is_of_no_use(service: Service, client: httpx2.AsyncClient) -> None:
    """Even where the index was made to believe in it, as a hostile api could."""
    tree, pack = a_tree(), a_pack()
    await send(client, tree, pack)
    await service.check_trees()
    async with service.client("cpt_other") as thief:
        await put_manifest(thief, tree)
        folder = service.folder / "data"
        change(folder, "INSERT INTO tree_claim SELECT 'other', tree, claim, body FROM tree_claim")
        forged = (Digest.parse(pack.digest).raw, len(pack.content))
        change(folder, "INSERT INTO receipt VALUES ('other', ?, 'worker', ?, 0)", *forged)
        assert (await thief.post(tree.url, json={"packs": [pack.index]})).status_code == 202
        assert await outcome(service, thief, tree) == "refused"
    assert query(folder, "SELECT count(*) FROM location WHERE project = 'other'") == [(0,)]


async def test_forged_claims_in_the_index_are_checked_like_any(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = a_tree()
    await put_manifest(client, tree)
    for body in (b"", b"{}", b"[1,2]", b'["ff",[]]', b'["%s",[[0,5,[["zz",1]]]]]' % (b"0" * 64)):
        row = (raw(tree.text), raw(body), body)
        change(service.folder / "data", "INSERT INTO tree_claim VALUES ('default', ?, ?, ?)", *row)
    assert (await client.post(tree.url, json={"packs": []})).status_code == 202
    assert await outcome(service, client, tree) == "refused"
    nothing_of_it(service)


async def test_a_forged_row_gives_a_step_no_label(service: Service, client: httpx2.AsyncClient) -> None:
    """A row that says `present` is nothing without the worker's object."""
    tree = a_tree()
    await put_manifest(client, tree)
    change(service.folder / "data", "UPDATE tree SET state = 'present'")
    body = {
        "name": "build",
        "outcome": "succeeded",
        "outputs": [
            {
                "name": "dist",
                "digest": {"sha256": tree.digest[7:]},
                "mediaType": "application/vnd.custody.tree.v1",
            }
        ],
    }
    step = (await client.post("/v1/records", json=body)).json()
    await service.sign()
    page = (await client.get(f"/v1/steps/{step['id']}")).json()
    bundle = await client.get(page["attestations"][0]["url"])
    assert b"verified" not in bundle.content
    assert page["state"] == "signed"


async def test_a_wrong_claim_does_not_spoil_a_right_one(service: Service, client: httpx2.AsyncClient) -> None:
    tree, pack = a_tree(), a_pack()
    lying = copy.deepcopy(pack.index)
    other_file(lying)
    await put_manifest(client, tree)
    await upload(client, pack.content)
    for index in (lying, pack.index):
        assert (await client.post(tree.url, json={"packs": [index]})).status_code == 202
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"


async def test_a_worker_that_lost_its_job_writes_no_verdict(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, lying = a_tree(), a_pack()
    exchanged(lying.index)
    await send(client, tree, lying)
    now = int(service.clock.now().timestamp() * 1000)
    async with service.database.writing() as connection:
        (slow,) = await queue.take(connection, CHECK, owner="slow", now=now, lease_ms=LEASE_MS, limit=1)
    later = now + LEASE_MS + 1
    async with service.database.writing() as connection:
        await queue.take(connection, CHECK, owner="quick", now=later, lease_ms=LEASE_MS, limit=1)
    with pytest.raises(UnavailableError):
        await Checker(service.database, service.store, service.clock).check(slow)
    assert (await client.get(tree.url)).json()["state"] == "checking"


async def test_targets_of_links_may_say_anything_but_are_content_only(
    service: Service, client: httpx2.AsyncClient
) -> None:
    targets = [b"/etc/passwd", b"../../..", b"\xff\n", TARGET]
    tree = Tree([link(f"l{number}", target) for number, target in enumerate(targets)])
    await send(client, tree, Pack.of(targets))
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"
