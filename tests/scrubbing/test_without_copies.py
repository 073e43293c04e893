"""Without a second store: what follows from other things is made anew, of the rest a worker tells."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from artifacts import layout, receipts
from artifacts.digest import Digest
from artifacts.queries import removals
from artifacts.queries.removals import Thing
from artifacts.scrubbing.scrubber import MISSING
from tests.attacks.actors import begin, finish, put
from tests.scrubbing.bench import copied, lying, name, rewrite, scrub, spoil, the
from tests.service import Service
from tests.trees.shapes import Pack, Tree, a_pack, a_tree, file, send, upload

pytestmark = pytest.mark.both_databases
CONTENT = b"a wheel"
BIG = b"big " * 300_000


async def missing(client: httpx2.AsyncClient, *digests: str) -> list[str]:
    """What the service says that it lacks."""
    told: list[str] = (await client.post("/v1/blobs/missing", json={"digests": digests})).json()["missing"]
    return told


async def of_two_files(service: Service, client: httpx2.AsyncClient) -> Tree:
    """A present tree of a small file and a large one."""
    await upload(client, BIG)
    await service.read_back()
    tree = Tree([file("big", BIG), file("small", b"small")])
    await send(client, tree, Pack.of([b"small"]))
    await service.read_back()
    await service.check_trees()
    return tree


@pytest.mark.parametrize("what", ["layouts", "receipts/tree"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
async def test_layouts_and_receipts_of_trees_are_made_anew(
    service: Service, client: httpx2.AsyncClient, what: str, damage: str
) -> None:
    tree = await of_two_files(service, client)
    before = (await client.get(f"{tree.url}/layout")).content
    path = the(service, f"projects/default/{what}")
    spoil(path) if damage == "changed" else path.unlink()
    (found,) = (await scrub(service, repair=True)).damages
    assert (found.healed, found.dependents.trees) == ("made anew", (tree.digest,))
    assert (await scrub(service)).clean
    assert (await client.get(f"{tree.url}/layout")).content == before


async def test_a_layout_is_not_made_anew_over_a_large_file_that_no_worker_vouches_for(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await of_two_files(service, client)
    spoil(the(service, "projects/default/layouts"))
    spoil(next(path for path in lying(service, "projects/default/blobs") if path.stat().st_size == len(BIG)))
    report = await scrub(service, repair=True)
    assert (report.damaged, report.healed) == (2, 0)
    await service.read_back()
    await upload(client, BIG)
    await service.read_back()
    assert [one.healed for one in (await scrub(service, repair=True)).damages] == ["made anew"]


@pytest.mark.parametrize("kind", ["api", "worker"])
@pytest.mark.parametrize("damage", ["changed", "gone"])
async def test_a_receipt_for_bytes_that_are_right_is_written_again(
    service: Service, client: httpx2.AsyncClient, kind: str, damage: str
) -> None:
    await upload(client, CONTENT)
    await service.read_back()
    path = the(service, f"projects/default/receipts/{kind}")
    spoil(path) if damage == "changed" else path.unlink()
    assert [one.healed for one in (await scrub(service, repair=True)).damages] == ["made anew"]
    told = await receipts.read(service.store, "default", Digest.of(CONTENT), kind=kind)
    assert told is not None
    assert told.holds
    assert (await scrub(service)).clean


async def test_no_receipt_is_written_again_for_bytes_that_are_wrong_or_gone(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for content in (CONTENT, b"another"):
        await upload(client, content)
    await service.read_back()
    for path in lying(service, "projects/default/receipts/api"):
        path.unlink()
    spoilt, removed = lying(service, "projects/default/blobs")
    spoil(spoilt)
    removed.unlink()
    report = await scrub(service, repair=True)
    assert (report.damaged, report.healed) == (4, 0)
    assert lying(service, "projects/default/receipts/api") == []


async def test_a_manifest_that_rests_otherwise_than_the_index_says_is_taken_as_it_is(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """A crash came between a repair and its row."""
    tree = a_tree()
    await send(client, tree, a_pack())
    await service.check_trees()
    import zstandard

    path = the(service, "projects/default/trees")
    frame = zstandard.ZstdCompressor(level=19, write_checksum=False).compress(tree.text)
    rewrite(path, frame)
    assert [one.healed for one in (await scrub(service, repair=True)).damages] == ["made anew"]
    assert (await client.get(f"{tree.url}/manifest")).content == frame


async def test_of_damaged_bytes_a_worker_tells_and_whoever_sends_them_again_mends_them(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    digest = await put(client, step, "out", CONTENT)
    await service.read_back()
    path = the(service, "projects/default/blobs")
    good = spoil(path)
    (found,) = (await scrub(service, repair=True)).damages
    assert (found.healed, found.why_not) == (None, "there is no second store")
    assert await service.read_back() == 1
    named = Digest.parse(digest)
    told = await receipts.read(service.store, "default", named, kind=receipts.WORKER)
    assert told is not None
    assert not told.holds
    assert not (await scrub(service, repair=True)).clean
    assert await service.read_back() == 0, "it was told already"
    assert await missing(client, digest) == [digest], "whoever asks first sends them too"
    await upload(client, CONTENT)
    assert path.read_bytes() == good
    assert await service.read_back() == 1
    assert await missing(client, digest) == []
    assert (await scrub(service)).clean
    await finish(client, step)
    await service.sign()
    assert (await client.get(step.url)).json()["state"] == "signed"


async def test_a_step_that_names_damaged_bytes_is_refused_once_a_worker_has_told(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await put(client, step, "out", BIG)
    await service.read_back()
    spoil(the(service, "projects/default/blobs"))
    await scrub(service, repair=True)
    await finish(client, step)
    await service.sign()
    assert (await client.get(step.url)).json()["state"] == "sealed", "a worker is to look"
    await service.read_back()
    service.clock.advance(5)
    await service.sign()
    assert (await client.get(step.url)).json()["state"] == "refused"


async def test_bytes_that_are_gone_are_taken_in_again(service: Service, client: httpx2.AsyncClient) -> None:
    await upload(client, CONTENT)
    await service.read_back()
    the(service, "projects/default/blobs").unlink()
    (found,) = (await scrub(service, repair=True)).damages
    assert (found.reason, found.healed) == (MISSING, None)
    await upload(client, CONTENT)
    await service.read_back()
    assert (await scrub(service)).clean


async def test_everything_that_relies_on_an_object_is_named(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = a_tree()
    pack = a_pack()
    await send(client, tree, pack)
    await service.check_trees()
    made = await begin(client)
    members = {"digest": {"sha256": tree.digest[7:]}, "mediaType": "application/vnd.custody.tree.v1"}
    await client.post(f"{made.url}/outputs", json={"outputs": [{"name": "dist", **members}]})
    await finish(client, made)
    used = await begin(client)
    await client.post(f"{used.url}/inputs", json={"inputs": [members]})
    await finish(client, used)
    await service.read_back()
    await service.sign()
    for path in lying(service, "projects/default/blobs"):
        spoil(path)
    for folder in ("projects/default/trees", "projects/default/records", "attestations"):
        spoil(the(service, folder))
    found = {damage.kind: damage for damage in (await scrub(service)).damages}
    assert set(found) == {"blob", "manifest", "segment", "bundle"}
    about = found["blob"].dependents
    assert found["blob"].digest == pack.digest
    assert about == found["manifest"].dependents
    assert about.trees == (tree.digest,)
    assert set(about.steps) == {made.id, used.id}
    assert len(about.attestations) == 1
    assert set(found["segment"].dependents.steps) <= {made.id, used.id}
    assert found["bundle"].dependents.attestations == (found["bundle"].digest,)
    assert not about.more


async def test_more_than_twenty_that_rely_on_an_object_are_cut_off(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(21):
        await finish(client, (await _with(client, CONTENT)))
    spoil(the(service, "projects/default/blobs"))
    (found,) = (await scrub(service)).damages
    assert (len(found.dependents.steps), found.dependents.more) == (20, True)


async def _with(client: httpx2.AsyncClient, content: bytes) -> Any:
    step = await begin(client)
    await put(client, step, "out", content)
    return step


async def test_what_was_removed_is_not_brought_back(service: Service, client: httpx2.AsyncClient) -> None:
    await upload(client, CONTENT)
    await service.read_back()
    second = copied(service)
    thing = Thing("default", "blob", Digest.of(CONTENT))
    async with service.database.writing() as connection:
        await removals.forget(connection, thing, job="hash")
    the(service, "projects/default/blobs").unlink()
    report = await scrub(service, second=second, repair=True)
    assert report.clean, "nobody counts on it any more"
    await service.store.put(layout.blob("default", thing.digest), b"a whale")
    for receipt in lying(service, "projects/default/receipts"):
        receipt.unlink()
    (found,) = (await scrub(service, second=second, repair=True)).damages
    assert (found.healed, found.why_not) == (None, "the index does not know it")


async def test_bytes_that_are_being_removed_are_not_healed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, CONTENT)
    await service.read_back()
    second = copied(service)
    spoil(the(service, "projects/default/blobs"))
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", Digest.of(CONTENT))
        await removals.begin(connection, thing, 7, reason="unnamed", detail=None, now=1)
    (found,) = (await scrub(service, second=second, repair=True)).damages
    assert found.healed is None
    assert found.why_not is not None
    assert "removed" in found.why_not


@pytest.mark.parametrize("copy", ["damaged", "gone"])
async def test_a_copy_that_is_not_right_heals_nothing_and_stays_as_it_is(
    service: Service, client: httpx2.AsyncClient, copy: str
) -> None:
    await upload(client, CONTENT)
    second = copied(service)
    twin = service.folder / "second" / name(service, the(service, "projects/default/blobs"))
    spoil(twin) if copy == "damaged" else twin.unlink()
    spoil(the(service, "projects/default/blobs"))
    (found,) = (await scrub(service, second=second, repair=True)).damages
    assert found.healed is None
    assert found.why_not is not None
    assert {"damaged": "damaged too", "gone": "no copy"}[copy] in found.why_not


async def test_a_copy_of_a_manifest_may_be_compressed_otherwise(
    service: Service, client: httpx2.AsyncClient
) -> None:
    import zstandard

    tree = a_tree()
    await send(client, tree, a_pack())
    await service.check_trees()
    second = copied(service)
    for what, text in (("trees", tree.text), ("layouts", None)):
        path = the(service, f"projects/default/{what}")
        twin = service.folder / "second" / name(service, path)
        plain = text or zstandard.ZstdDecompressor().decompress(twin.read_bytes())
        rewrite(twin, zstandard.ZstdCompressor(level=19, write_checksum=False).compress(plain))
        spoil(path)
    report = await scrub(service, second=second, repair=True)
    assert [one.healed for one in report.damages] == ["from the second store"] * 2
    assert (await scrub(service)).clean
    assert (await client.get(f"{tree.url}?as=tar")).status_code == 200
