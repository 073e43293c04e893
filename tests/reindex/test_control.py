"""What was purged stays purged and what is held stays held, whatever becomes of the index."""

from __future__ import annotations

from dataclasses import replace

import pytest

from artifacts import layout
from artifacts.control import PLACED
from artifacts.digest import Digest
from artifacts.errors import EvidenceError, UnavailableError
from artifacts.queries import decisions, holds, removals
from artifacts.queries.removals import RemovalState, Standing
from tests.attacks.planting import plant
from tests.attacks.remains import query
from tests.control import DEFAULT, a_tombstone, decided, holding, kept, removed_for_good, signed
from tests.reindex.corpus import journal_tokens, looking, objects, reindex
from tests.reindex.test_outages import Away
from tests.service import Service, sha256
from tests.trees.shapes import CONTENTS, a_pack, a_tree, send, upload

pytestmark = pytest.mark.both_databases

SECRET = b"a secret"
DIGEST = Digest.of(SECRET)
NOT_SERVED = {404, 410}


async def stored(service: Service, content: bytes) -> None:
    """Keep `content`, and let a worker read it back."""
    async with service.client() as client:
        await upload(client, content)
    await service.read_back()


async def standing(service: Service, content: bytes, kind: str = "blob") -> Standing:
    async with service.database.reading() as connection:
        return await removals.find(connection, DEFAULT, kind, Digest.of(content))


async def held_by(service: Service) -> list[str]:
    """The reasons of all holds, as rows that collecting looks at tell them."""
    async with service.database.reading() as connection:
        words = [one.word.reason for one in await holds.held(connection, DEFAULT)]
    rows = query(service.folder / "data", "SELECT reason FROM hold ORDER BY reason")
    assert sorted(words) == [reason for (reason,) in rows]
    return words


async def status(service: Service, url: str) -> int:
    async with service.client() as client:
        return (await client.get(url)).status_code


async def test_what_was_purged_is_not_there_again_however_it_comes_back(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    await stored(service, SECRET)
    blob = objects(service) / str(layout.blob(DEFAULT, DIGEST))
    vouching = [objects(service) / str(layout.receipt(DEFAULT, DIGEST, kind)) for kind in ("api", "worker")]
    copies = {path: path.read_bytes() for path in (blob, *vouching)}
    await removed_for_good(service, SECRET, 3)
    for path, content in copies.items():  # an older copy of the bucket comes back over the new one
        plant(service, str(path.relative_to(objects(service))), content)
    report = await reindex(fresh)
    doubted = {one.key: one.reason for one in report.quarantined}
    assert doubted == {
        str(path.relative_to(objects(service))): "it was purged, and lies there again" for path in copies
    }
    assert report.counts["tombstones"] == 1
    found = await standing(fresh, SECRET)
    assert (found.state, found.generation, found.barred) == (RemovalState.GONE, 3, True)
    assert await status(fresh, f"/v1/blobs/{DIGEST}") in NOT_SERVED


async def test_what_was_only_removed_may_come_again_and_keeps_its_generation(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    await stored(service, SECRET)
    await removed_for_good(service, SECRET, 1, barred=False, reason="rule")
    await removed_for_good(service, SECRET, 2, barred=False, reason="unnamed", detail=None)
    await stored(service, SECRET)
    assert len(kept(service)) == 2
    report = await reindex(fresh)
    assert (report.quarantined, report.counts["tombstones"]) == ([], 2)
    found = await standing(fresh, SECRET)
    assert (found.state, found.generation, found.barred) == (RemovalState.GONE, 2, False)
    assert await status(fresh, f"/v1/blobs/{DIGEST}") == 200


async def test_a_bar_that_was_lifted_stays_lifted(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    await removed_for_good(service, SECRET, 1)
    await removed_for_good(service, SECRET, 2, barred=False, reason="lifted", detail="no secret after all")
    await stored(service, SECRET)
    assert (await reindex(fresh)).clean
    assert await status(fresh, f"/v1/blobs/{DIGEST}") == 200


async def test_content_that_was_purged_from_packs_is_found_in_none(service: Service, fresh: Service) -> None:
    """The pack that held it comes back from an older copy of the bucket, with the tree that used it."""
    await journal_tokens(service)
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
    await service.read_back()
    await service.check_trees()
    assert await status(service, f"{tree.url}/layout") == 200
    content = CONTENTS["bin/run"]
    await removed_for_good(service, content)
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [
        str(layout.receipt(DEFAULT, Digest.parse(tree.digest), "tree"))
    ]
    async with fresh.client() as client:
        page = (await client.get(tree.url)).json()
        asked = await client.post("/v1/trees/missing", json={"digests": [sha256(content)]})
    assert (page["state"], page["missing"]) == ("incomplete", [sha256(content)])
    assert asked.json() == {"missing": [sha256(content)]}
    assert await status(fresh, f"/v1/blobs/sha256:{sha256(content)}") in NOT_SERVED


async def test_a_tree_that_was_purged_is_not_filed(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
    await service.read_back()
    await service.check_trees()
    digest = Digest.parse(tree.digest)
    for key in (layout.manifest(DEFAULT, digest), layout.receipt(DEFAULT, digest, "tree")):
        (objects(service) / str(key)).rename(objects(service) / f"{str(key).replace('/', '-')}.kept")
    await decided(service, a_tombstone(tree.text, kind="tree"))
    assert await service.sign_decisions() == 1
    for key in (layout.manifest(DEFAULT, digest), layout.receipt(DEFAULT, digest, "tree")):
        (objects(service) / f"{str(key).replace('/', '-')}.kept").rename(objects(service) / str(key))
    report = await reindex(fresh)
    assert [one.key for one in report.quarantined] == [str(layout.manifest(DEFAULT, digest))]
    assert await status(fresh, tree.url) in NOT_SERVED


async def test_an_older_copy_of_the_index_forgets_what_was_removed_since(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    tree, pack = a_tree(), a_pack()
    async with service.client() as client:
        await upload(client, SECRET)
        await send(client, tree, pack)
    await service.read_back()
    await service.check_trees()
    await reindex(fresh)  # the copy
    for url in (f"/v1/blobs/{DIGEST}", f"{tree.url}/layout"):
        assert await status(fresh, url) == 200
    await removed_for_good(service, SECRET, barred=False)
    await removed_for_good(service, pack.content, barred=False, reason="packed-anew", detail=None)
    for key in (objects(service) / "projects/default/receipts/tree").rglob("*.json"):
        key.unlink()
    await reindex(fresh)
    assert await status(fresh, f"/v1/blobs/{DIGEST}") == 404
    async with fresh.client() as client:
        asked = await client.post("/v1/blobs/missing", json={"digests": [str(DIGEST), pack.digest]})
        assert asked.json() == {"missing": [str(DIGEST), pack.digest]}
        assert (await client.get(tree.url)).json()["state"] == "incomplete"


async def test_what_is_held_stays_held_and_what_was_lifted_stays_lifted(
    service: Service, fresh: Service
) -> None:
    operator = holding(service)
    await operator.place(DEFAULT, Digest.of(b"one"), "first")
    await operator.place(DEFAULT, Digest.of(b"one"), "second")
    await operator.place(DEFAULT, Digest.of(b"two"), "third")
    await operator.lift(DEFAULT, Digest.of(b"two"), "over")
    await operator.place("other", Digest.of(b"two"), "theirs")
    assert await service.sign_decisions() == 5
    report = await reindex(fresh)
    assert (report.counts["words about holds"], report.counts["held"]) == (5, 2)
    async with fresh.database.reading() as connection:
        found = [
            (one.word.name.project, one.word.reason, one.attested) for one in await holds.held(connection)
        ]
        assert [(project, reason) for project, reason, _ in found] == [
            (DEFAULT, "second"),
            ("other", "theirs"),
        ]
        assert None not in {attested for _, _, attested in found}
        assert await removals.is_held(connection, DEFAULT, Digest.of(b"one"))
        assert not await removals.is_held(connection, DEFAULT, Digest.of(b"two"))
        assert await removals.is_held(connection, "other", Digest.of(b"two"))
    # A word that is said now is newer than all of them, whatever the clock says.
    fresh.clock.advance(-3600)
    last = await holding(fresh).lift(DEFAULT, Digest.of(b"one"), "over")
    async with fresh.database.reading() as connection:
        assert not await removals.is_held(connection, DEFAULT, Digest.of(b"one"))
    assert last.word.state != PLACED


async def test_filing_again_goes_forward_and_never_back(service: Service) -> None:
    """The index knows more than the bucket has: what was decided a moment ago is not signed yet."""
    await removed_for_good(service, SECRET, 1, barred=False)
    held = await holding(service).place(DEFAULT, DIGEST, "an audit")
    await decided(service, a_tombstone(SECRET, 2))
    report = await reindex(service)
    assert report.clean
    found = await standing(service, SECRET)
    assert (found.generation, found.barred) == (2, True)
    assert await held_by(service) == ["an audit"]
    await service.sign_decisions()
    assert (await reindex(service)).clean
    async with service.database.reading() as connection:
        (again,) = await holds.held(connection, DEFAULT)
    assert again.word == held.word
    assert again.attested is not None


async def test_a_row_that_waited_for_its_signature_is_ended_by_the_signed_one(
    service: Service, fresh: Service
) -> None:
    """The copy of the index is from between the decision and the end of the removal."""
    removed = await removed_for_good(service, SECRET, 2)
    await decided(fresh, removed, state="deleting", gone_at=None)
    await reindex(fresh)
    async with fresh.database.reading() as connection:
        found = await decisions.find(connection, removed.name)
    assert found is not None
    assert (found.decision, found.attested) == (removed, True)


async def test_two_copies_of_one_decision_are_one(service: Service, fresh: Service) -> None:
    """Another signer, whose key is trusted too, signed the same removal before."""
    removed = await removed_for_good(service, SECRET)
    first = await reindex(fresh)
    second = await reindex(fresh)
    assert first.counts["tombstones"] == second.counts["tombstones"] == 1
    assert [path.read_bytes() for path in kept(service)] == [signed(removed, service.signer)]


@pytest.mark.parametrize("what", ["a removal", "a later removal", "a hold", "a lift"])
async def test_an_index_that_does_not_know_of_a_removal_or_a_hold_may_not_be_signed_with(
    service: Service, fresh: Service, what: str
) -> None:
    await journal_tokens(service)
    operator = holding(service)
    if what == "a later removal":
        await removed_for_good(service, SECRET, 1)
    if what == "a lift":
        await operator.place(DEFAULT, DIGEST, "an audit")
        await service.sign_decisions()
    await reindex(fresh)  # the copy
    await looking(fresh).check(now=fresh.clock.now())
    if what == "a hold":
        await operator.place(DEFAULT, DIGEST, "an audit")
    elif what == "a lift":
        await operator.lift(DEFAULT, DIGEST, "over")
    else:
        await removed_for_good(service, SECRET, 2)
    await service.sign_decisions()
    await looking(service).check(now=fresh.clock.now())
    with pytest.raises(EvidenceError):
        await looking(fresh).check(now=fresh.clock.now())
    await reindex(fresh)
    await looking(fresh).check(now=fresh.clock.now())


async def test_a_removal_that_somebody_planted_holds_no_signer_up(service: Service) -> None:
    removed = await removed_for_good(service, SECRET)
    (path,) = kept(service)
    for name, content in ((a_tombstone(SECRET, 7).name, path.read_bytes()), (a_tombstone(b"x").name, b"{}")):
        plant(service, layout.tombstone(name), content)
    await looking(service).check(now=service.clock.now())
    assert removed.name.generation == 1


async def test_an_outage_of_the_store_says_nothing_about_a_removal(service: Service, fresh: Service) -> None:
    await removed_for_good(service, SECRET)
    away = Away(service, "control/tombstones")
    with pytest.raises(UnavailableError):
        await replace(looking(fresh), store=away).check(now=fresh.clock.now())
