"""Receipts, blobs, trees and names that somebody planted in the bucket, before the index is filled from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.refusals import Refusal
from artifacts.refusals import write as refuse
from artifacts.storage.unchanging import UnchangingStore
from artifacts.trees import compression
from artifacts.trees.layout_reading import unfolded
from provenance.published_keys import publish
from tests.attacks.actors import an_id, begin, finish, put
from tests.attacks.planting import AT, MEMBERS, a_line, a_segment, honest, plant, status
from tests.reindex.corpus import journal_tokens, objects, recorded, reindex
from tests.service import Service, sha256
from tests.trees.shapes import Tree, a_pack, a_tree, file, put_manifest, send


async def test_receipts_for_other_bytes_are_not_believed(service: Service, fresh: Service) -> None:
    await honest(service)
    await service.read_back()
    folder = objects(service) / "projects/default/receipts"
    (right,) = (folder / "api").rglob("*.json")
    elsewhere = sha256(b"other bytes")
    name = Digest("sha256", elsewhere)
    plant(service, layout.receipt("default", name, "api"), right.read_bytes())
    text = {"receipt": "custody/v1", "kind": "worker", "project": "default", "digest": f"sha256:{elsewhere}"}
    told = {**text, "size": 11, "hashed_at": MEMBERS["began_at"]}
    plant(service, layout.receipt("default", name, "worker"), json.dumps(told).encode())
    short = Digest.of(b"short")
    plant(service, layout.blob("default", short), b"sho")
    told = {**text, "digest": str(short), "size": 5, "hashed_at": MEMBERS["began_at"]}
    plant(service, layout.receipt("default", short, "worker"), json.dumps(told).encode())
    bad = Digest.of(b"bad")
    plant(service, layout.blob("default", bad), b"BAD")
    told = {**text, "digest": str(bad), "size": 3, "found": str(name), "hashed_at": MEMBERS["began_at"]}
    plant(service, layout.receipt("default", bad, "worker"), json.dumps(told).encode())
    report = await reindex(fresh)
    assert sorted(one.reason for one in report.quarantined) == [
        "the receipt belongs elsewhere",
        "the receipt is for bytes of another length",
        "the receipt is for bytes that are not there",
        "the receipt says that the bytes are damaged",
    ]
    for digest in (name, short, bad):
        assert await status(fresh, f"/v1/blobs/{digest}") == 404
    assert await status(fresh, f"/v1/blobs/sha256:{sha256(b'a wheel')}") == 200


async def test_a_blob_without_a_receipt_is_served_to_nobody(service: Service, fresh: Service) -> None:
    await honest(service)
    planted = Digest.of(b"planted")
    plant(service, layout.blob("default", planted), b"planted")
    report = await reindex(fresh)
    assert report.unreceipted == [f"default/{planted}"]
    assert await status(fresh, f"/v1/blobs/{planted}") == 404


async def test_a_blob_that_no_worker_has_read_back_is_read_back(service: Service, fresh: Service) -> None:
    await honest(service)
    await reindex(fresh)
    assert await fresh.read_back() == 1


@pytest.mark.parametrize(
    "name",
    [
        "projects/default/blobs/sha256/aa/bb/" + "c" * 64,
        "projects/default/blobs/" + "c" * 64,
        "projects/default/elsewhere/sha256/cc/cc/" + "c" * 64,
        "projects/default/receipts/sha256/cc/cc/" + "c" * 64 + ".json",
        "projects/default/records/2026/11/readme",
        "projects/default/refusals/readme",
        "projects/readme",
        "attestations/sha256/readme",
        "control/keys/readme",
    ],
)
async def test_a_name_that_nobody_here_gives_is_listed(service: Service, fresh: Service, name: str) -> None:
    await honest(service)
    plant(service, name, b"planted")
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [name]


async def test_a_folder_in_the_place_of_an_object_is_listed(service: Service, fresh: Service) -> None:
    await honest(service)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    content = path.read_bytes()
    path.unlink()
    path.symlink_to(objects(service) / "elsewhere")
    (objects(service) / "elsewhere").write_bytes(content)
    report = await reindex(fresh)
    assert [Path(one.key).name for one in report.quarantined if "attest" in one.key] == [path.name]


async def test_a_trusted_key_under_another_name_is_listed(service: Service, fresh: Service) -> None:
    await honest(service)
    await publish(service.store, service.signer.public_key, builder_id="https://x/builders/local/v1", at=AT)
    (path,) = (objects(service) / "control" / "keys").iterdir()
    plant(service, "control/keys/other.json", path.read_bytes())
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == ["control/keys/other.json"]


async def test_a_refusal_holds_back_its_own_record_and_no_other(service: Service, fresh: Service) -> None:
    signed = await honest(service)
    (path,) = (objects(service) / "projects/default/records").rglob("*.ndjson")
    line = path.read_bytes().rstrip(b"\n")
    await refuse(service.store, Refusal("default", signed.id, Digest.of(line), "planted"), at=AT)
    step = an_id()
    waiting = a_line(step)
    plant(service, service.seal.put_on(a_segment(step, waiting)), waiting + b"\n")
    lying = Refusal("default", an_id(), Digest.of(waiting), "of another step")
    await refuse(service.store, lying, at=AT)
    plant(service, layout.refusal("default", an_id(), Digest.of(waiting)), b"{}")
    text = {"refusal": "custody/v1", "project": "other", "step": step, "record": str(Digest.of(waiting))}
    told = json.dumps({**text, "reason": "x", "refused_at": MEMBERS["began_at"]}).encode()
    plant(service, layout.refusal("default", step, Digest.of(waiting)), told)
    report = await reindex(fresh)
    assert len(report.quarantined) == 2
    assert report.unsigned == [f"default/{step}"]
    async with fresh.client() as client:
        assert (await client.get(signed.url)).json()["state"] == "signed"


async def vouched(service: Service) -> Tree:
    """A tree that a worker vouched for."""
    await journal_tokens(service)
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
        await service.read_back()
        await service.check_trees()
    return tree


@pytest.mark.parametrize("what", ["trees", "layouts", "blobs", "receipts/tree"])
async def test_a_tree_of_which_anything_was_changed_is_not_present(
    service: Service, fresh: Service, what: str
) -> None:
    tree = await vouched(service)
    path = next(iter((objects(service) / "projects/default" / what).rglob("[0-9a-f]" * 10 + "*")))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    plant(service, str(path.relative_to(objects(service))), bytes(content))
    report = await reindex(fresh)
    assert report.quarantined
    async with fresh.client() as client:
        answer = await client.get(tree.url)
        assert answer.status_code == 404 or answer.json()["state"] != "present"
        layout_ = await client.get(f"{tree.url}/layout")
    assert layout_.status_code == 404


@pytest.mark.parametrize(
    "lie",
    [
        lambda text: text.replace(b"custody-layout/v1 ", b"custody-layout/v1 0"),
        lambda text: text.replace(b"\nr 0 ", b"\nr 7 "),
        lambda text: text + b"x y\n",
        lambda text: text.replace(b"\n0 ", b"\n999 "),
        lambda text: text.replace(b" 0\n", b" 1\n"),
        lambda text: text.replace(b"\nr 0 0 ", b"\nr 0 1 "),
        lambda text: text.replace(b"\nr 0 0 ", b"\nr 0 99999999 "),
    ],
)
async def test_a_planted_layout_leads_nowhere(
    service: Service, fresh: Service, lie: Callable[[bytes], bytes]
) -> None:
    tree = await vouched(service)
    receipt = plant_layout(service, lie)
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [receipt]
    async with fresh.client() as client:
        assert (await client.get(tree.url)).json()["state"] != "present"


async def test_a_layout_with_one_lie_is_written_anew(service: Service, fresh: Service) -> None:
    tree = await vouched(service)
    async with service.client() as client:
        before = (await client.get(tree.url)).json()
    receipt = plant_layout(service, lambda text: text.replace(b" 0\n", b" 0\n5 0\n", 1))
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [receipt]
    async with fresh.client() as client:
        assert (await client.get(tree.url)).json() == before


def plant_layout(service: Service, lie: Callable[[bytes], bytes]) -> str:
    """Plant a layout and a receipt that names it; return the key of the receipt."""
    folder = objects(service) / "projects/default"
    (path,) = (folder / "layouts").rglob("*.zst")
    text = lie(unfolded(path.read_bytes()))
    plant(service, layout.tree_layout("default", Digest.of(text)), compression.encode(text))
    (receipt,) = (folder / "receipts/tree").rglob("*.json")
    told = {**json.loads(receipt.read_bytes()), "layout": str(Digest.of(text))}
    plant(service, str(receipt.relative_to(objects(service))), json.dumps(told).encode())
    return str(receipt.relative_to(objects(service)))


async def test_a_receipt_for_a_tree_that_was_never_checked_makes_it_no_tree(
    service: Service, fresh: Service
) -> None:
    await vouched(service)
    other = Tree([file("x", b"contents that nobody sent")])
    async with service.client() as client:
        await put_manifest(client, other)
    (receipt,) = (objects(service) / "projects/default/receipts/tree").rglob("*.json")
    told = {**json.loads(receipt.read_bytes()), "digest": other.digest}
    key = layout.receipt("default", Digest.parse(other.digest), "tree")
    plant(service, key, json.dumps(told).encode())
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [str(key)]
    assert report.counts["trees"] == 1


async def test_a_step_nobody_finished_is_not_made_up_from_what_it_sent(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        step = await begin(client)
        digest = await put(client, step, "x", b"sent and never finished")
    report = await reindex(fresh)
    assert report.clean
    assert await status(fresh, step.url) == 404
    assert await status(fresh, f"/v1/blobs/{digest}") == 200


async def test_a_dry_run_changes_nothing(service: Service, fresh: Service) -> None:

    await recorded(service)
    before = {path: path.stat().st_mtime_ns for path in objects(service).rglob("*")}
    looking = replace(fresh, store=UnchangingStore(fresh.store))
    report = await reindex(looking)
    assert report.clean
    assert report.counts["trees"] == 2
    assert {path: path.stat().st_mtime_ns for path in objects(service).rglob("*")} == before
    async with service.client() as client:
        step = await begin(client)
        await finish(client, step)
