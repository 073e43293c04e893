"""A leaked secret: after a purge no byte of it is in the store, and whatever else there was still is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import ConflictError, InvalidInputError, NotFoundError
from artifacts.queries import purging
from tests.attacks.actors import begin, finish, put
from tests.attacks.remains import change, query
from tests.fakes.s3.server import a_fake_s3
from tests.repacking.bench import (
    DAY,
    Anew,
    assert_readable,
    contents,
    finds,
    keep,
    key_of,
    pack_of,
    remove,
)
from tests.s3 import store_over
from tests.service import Service, a_service, sha256
from tests.trees.shapes import Pack, Tree, upload

SECRET = b"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"
LARGE = SECRET * 30_000
PLAIN = contents("src", 20)


@pytest.fixture(params=["directory", "fake_s3"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    """A service over each kind of store."""
    if request.param == "directory":
        async with a_service(tmp_path) as built:
            yield built
        return
    with a_fake_s3() as fake:
        store = store_over(fake)
        async with a_service(tmp_path, kept_in=store) as built:
            yield built
        store.close()


async def state(client: httpx2.AsyncClient, tree: Tree) -> tuple[str, str | None]:
    """What is said of a tree."""
    page = (await client.get(tree.url)).json()
    return page["state"], page.get("reason")


async def test_a_file_of_three_trees_and_a_blob_is_nowhere_afterwards(anywhere: Service) -> None:
    service, anew = anywhere, Anew(anywhere)
    async with service.client() as client:
        first = await keep(service, client, PLAIN | {"env": SECRET})
        second = await keep(service, client, contents("b", 3) | {"a/env": SECRET, "z/env": SECRET})
        third = await keep(service, client, {"only": SECRET})
        other = await keep(service, client, PLAIN)
        elsewhere = await keep(service, client, contents("c", 5))
        await upload(client, SECRET)
        await service.read_back()
        assert len(await finds(service.store, SECRET)) >= 3  # two packs, the blob; a pack that repeats it
        done = await anew.purge(SECRET)
        assert done.lost == 0
        assert await finds(service.store, SECRET) == []
        for tree in (first, second, third):
            assert await state(client, tree) == ("incomplete", "contents of it were purged")
            assert (await client.get(tree.url)).json()["missing"] == [sha256(SECRET)]
            assert (await client.get(f"{tree.url}?as=tar")).status_code == 404
            receipt = layout.receipt("default", Digest.parse(tree.digest), "tree")
            assert await service.store.size(receipt) is None
        await assert_readable(client, other, PLAIN)
        await assert_readable(client, elsewhere, contents("c", 5))
        assert (await client.get(f"/v1/blobs/sha256:{sha256(SECRET)}")).status_code in {404, 410}
        # What else lay in those packs is still there, for the same trees without it.
        digests = [sha256(one) for one in contents("b", 3).values()]
        assert (await client.post("/v1/trees/missing", json={"digests": digests})).json()["missing"] == []
        again = await keep(service, client, contents("b", 3), pack_of([b"one more"]))
        await assert_readable(client, again, contents("b", 3))


async def test_it_is_refused_ever_after(service: Service, client: httpx2.AsyncClient) -> None:
    tree, anew = await keep(service, client, PLAIN | {"env": SECRET}), Anew(service)
    packs = [pack_of((PLAIN | {"env": SECRET}).values()), Pack.of([SECRET, b"another"])]
    await anew.purge(SECRET)
    service.clock.advance(3 * DAY)
    await anew.settle()
    assert (await client.post("/v1/blobs/uploads", content=SECRET)).status_code == 410
    # The pack that held it, too; and in a pack that nobody has seen before it is found.
    assert (await client.post("/v1/blobs/uploads", content=packs[0].content)).status_code == 410
    await upload(client, packs[1].content)
    assert (await client.post(tree.url, json={"packs": [packs[1].index]})).status_code == 202
    await service.check_trees()
    told, reason = await state(client, tree)
    assert (told, reason) == ("refused", "the pack holds contents that were removed for good")
    assert (
        query(service.folder / "data", "SELECT 1 FROM location WHERE digest = ?", Digest.of(SECRET).raw) == []
    )


async def test_a_large_blob_goes_and_is_refused_in_parts(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, LARGE)
    await service.read_back()
    tree = await keep(service, client, {"large": LARGE, "small": b"small"}, pack_of([b"small"]))
    announced = {"digest": f"sha256:{sha256(LARGE)}", "size": len(LARGE)}
    begun = await client.post("/v1/blobs/uploads?resumable=1", json=announced)
    url = f"/v1/blobs/uploads/{begun.json()['upload']}"
    assert (await client.put(f"{url}/parts/1", content=LARGE)).status_code == 201
    await Anew(service).purge(LARGE)
    assert await finds(service.store, LARGE) == []
    assert await state(client, tree) == ("incomplete", "contents of it were purged")
    assert (await client.get(url)).json()["state"] == "refused"
    assert (await client.post("/v1/blobs/uploads?resumable=1", json=announced)).status_code == 410
    assert await finds(service.store, LARGE) == []


async def test_records_attestations_and_lineage_stay(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    await put(client, step, "env", SECRET)
    await finish(client, step)
    await service.read_back()
    await service.sign()
    before = (await client.get(step.url)).json()
    url = f"/v1/artifacts/sha256:{sha256(SECRET)}"
    lineage = (await client.get(f"{url}/lineage")).json()
    await Anew(service).purge(SECRET)
    assert (await client.get(step.url)).json() == before
    assert (await client.get(before["attestations"][0]["url"])).status_code == 200
    assert (await client.get(f"{url}/lineage")).json() == lineage
    assert (await client.get(url)).json()["produced_by"]


async def test_a_copy_that_the_index_does_not_know_of_is_found_in_its_pack(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """A content that lay elsewhere already is placed there; the second pack holds it all the same."""
    await keep(service, client, {"env": SECRET, "x": b"x"}, Pack.of([SECRET, b"x"]))
    files = {"env": SECRET, "y": b"y", "z": b"z"}
    hidden = Pack.of([b"y"], [SECRET], [b"z"])
    await keep(service, client, files, hidden)
    assert len(await finds(service.store, SECRET)) == 2
    await Anew(service).purge(SECRET)
    assert await finds(service.store, SECRET) == []
    assert await service.store.size(key_of(hidden.content)) is None


async def test_files_in_which_it_is_only_a_part_stay(service: Service, client: httpx2.AsyncClient) -> None:
    """A purge goes by digests: what merely quotes the secret has one of its own."""
    quoting = {"log": b"found " + SECRET, "env": SECRET}
    await keep(service, client, quoting)
    other = await keep(service, client, {"log": b"found " + SECRET})
    await Anew(service).purge(SECRET)
    await assert_readable(client, other, {"log": b"found " + SECRET})


async def test_what_is_held_is_not_purged(service: Service, client: httpx2.AsyncClient) -> None:
    tree = await keep(service, client, {"env": SECRET})
    for held in (Digest.of(SECRET), Digest.parse(tree.digest)):
        change(
            service.folder / "data",
            "INSERT INTO hold (project, digest, reason, placed_at) VALUES ('default', ?, 'a case', 1)",
            held.raw,
        )
        with pytest.raises(ConflictError):
            await Anew(service).purger.purge("default", Digest.of(SECRET), "leaked")
        await assert_readable(client, tree, {"env": SECRET})
        change(service.folder / "data", "DELETE FROM hold")
    await Anew(service).purge(SECRET)
    assert await finds(service.store, SECRET) == []


async def test_nothing_is_purged_that_is_not_stored(service: Service, client: httpx2.AsyncClient) -> None:
    await keep(service, client, {"env": SECRET})
    for unknown in (Digest.of(b"never seen"), Digest("sha512", "ab" * 64)):
        with pytest.raises(NotFoundError):
            await Anew(service).purger.purge("default", unknown, "leaked")
    with pytest.raises(NotFoundError):
        await Anew(service).purger.purge("other", Digest.of(SECRET), "leaked")


async def test_an_old_pack_that_waits_for_its_end_goes_at_once(
    service: Service, client: httpx2.AsyncClient
) -> None:
    files = PLAIN | {"env": SECRET}
    whole = await keep(service, client, files)
    few = dict(list(files.items())[-3:])
    tree = await keep(service, client, few)
    await remove(service, whole)
    service.clock.advance(2 * DAY)
    anew = Anew(service)
    assert (await anew.compact()).packs == 1
    assert len(await finds(service.store, SECRET)) >= 2
    await anew.purge(SECRET)
    assert await finds(service.store, SECRET) == []
    assert (await state(client, tree))[0] == "incomplete"


async def test_a_pack_is_not_purged_as_such(service: Service, client: httpx2.AsyncClient) -> None:
    tree = await keep(service, client, PLAIN)
    with pytest.raises(InvalidInputError):
        await Anew(service).purge(Digest.parse(pack_of(PLAIN.values()).digest))
    await assert_readable(client, tree, PLAIN)


async def test_a_look_changes_nothing_and_names_what_would_be_reached(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree = await keep(service, client, PLAIN | {"env": SECRET})
    async with service.client("cpt_other") as neighbour:
        await upload(neighbour, SECRET)
    rows = query(service.folder / "data", "SELECT * FROM location")
    reach = await Anew(service).purger.look("default", Digest.of(SECRET))
    pack = Digest.parse(pack_of((PLAIN | {"env": SECRET}).values()).digest)
    assert (reach.packs, reach.trees, reach.elsewhere) == ([pack], [Digest.parse(tree.digest)], ["other"])
    assert query(service.folder / "data", "SELECT * FROM location") == rows
    await assert_readable(client, tree, PLAIN | {"env": SECRET})


async def test_a_bar_can_be_lifted(service: Service, client: httpx2.AsyncClient) -> None:
    files = PLAIN | {"env": SECRET}
    tree, anew = await keep(service, client, files), Anew(service)
    with pytest.raises(NotFoundError):
        await anew.purger.lift("default", Digest.of(SECRET), "a mistake")
    await anew.purge(SECRET)
    pack = Digest.parse(pack_of(files.values()).digest)
    assert await anew.purger.lift("default", Digest.of(SECRET), "a mistake") == [Digest.of(SECRET), pack]
    assert await service.sign_decisions() >= 2
    again = await keep(service, client, files)
    assert again.digest == tree.digest
    await assert_readable(client, again, files)


async def test_a_damaged_pack_is_purged_too_and_what_is_lost_is_told(
    service: Service, client: httpx2.AsyncClient
) -> None:
    files = {"env": SECRET} | PLAIN
    pack = Pack.of([SECRET], *([one] for one in PLAIN.values()))
    tree = await keep(service, client, files, pack)
    other = await keep(service, client, PLAIN)
    some = await keep(service, client, dict(list(PLAIN.items())[1:]))
    offset = pack.frames[1]["offset"]
    path = service.folder / "data" / "objects" / str(key_of(pack.content))
    path.chmod(0o600)
    path.write_bytes(pack.content[:offset] + b"damage" + pack.content[offset + 6 :])
    done = await Anew(service).purge(SECRET)
    assert done.lost == 1
    assert await finds(service.store, SECRET) == []
    assert (await state(client, tree))[0] == "incomplete"
    assert (await state(client, other))[0] == "incomplete"
    await assert_readable(client, some, dict(list(PLAIN.items())[1:]))


async def test_a_worker_ends_a_purge_whose_command_was_killed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew, digest = (
        await keep(service, client, PLAIN | {"env": SECRET}),
        Anew(service),
        Digest.of(SECRET),
    )
    for expected in (1, 1):  # the second time there is nothing left to be done
        async with service.database.writing() as connection:
            await purging.begin(connection, "default", digest, "leaked", at=0)
        assert await service._labour(purging.PURGE, anew.purger.work) == expected
        await anew.settle()
        assert await finds(service.store, SECRET) == []
    assert (await state(client, tree))[0] == "incomplete"
    assert query(service.folder / "data", "SELECT detail FROM tombstone WHERE digest = ?", digest.raw) == [
        ("leaked",)
    ]
