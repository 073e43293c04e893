"""What is collected, what stays, and how a removal ends: over real indexes and a real directory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from artifacts.db import connect
from artifacts.digest import Digest
from artifacts.errors import BeingRemovedError, NotFoundError, UnavailableError
from artifacts.naming import Naming
from artifacts.queries import locks
from artifacts.removal import Removals, Thing
from tests.attacks.actors import begin, finish, put
from tests.attacks.remains import change, query
from tests.service import Service, reference, sha256
from tests.trees.shapes import a_pack, a_tree, send

pytestmark = pytest.mark.both_databases

DAY = 86_400
BYTES = {"Content-Type": "application/octet-stream"}


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def unnamed(service: Service, content: bytes, project: str = "default") -> Digest:
    """Bytes that a step sent and never named."""
    taken, _ = await service.parts.recorder.receive_blob(
        project, pieces(content), declared=None, by_step=True
    )
    return taken.digest


async def named(client: httpx2.AsyncClient, content: bytes, name: str = "") -> str:
    """Bytes that a project uploaded, and the name it gave them."""
    answer = await client.post("/v1/blobs/uploads", content=content, headers=BYTES)
    assert answer.status_code in {200, 201}, answer.text
    if name:
        said = reference(content, uri="https://example.com/x", name=name)
        assert (await client.post("/v1/artifacts", json=said)).status_code == 201
    digest: str = answer.json()["digest"]
    return digest


async def is_here(client: httpx2.AsyncClient, digest: Digest | str) -> bool:
    """Whether the bytes are given out."""
    status = (await client.get(f"/v1/blobs/{digest}")).status_code
    assert status in {200, 404}
    return status == 200


def keys(service: Service, project: str = "default") -> list[str]:
    """All that lies in the bucket of a project, receipts too."""
    root = service.folder / "data" / "objects" / "projects" / project
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def test_what_nobody_named_goes_after_its_grace_period_and_leaves_a_tombstone(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost, kept = await unnamed(service, b"never named"), await named(client, b"named")
    await service.read_back()
    service.clock.advance(DAY - 1)
    assert not (await service.collect()).things
    service.clock.advance(2)
    found = await service.collect()
    assert found.things == {("default", "blob", "unnamed"): 1}
    assert found.bytes == {("default", "blob", "unnamed"): len(b"never named")}
    assert not await is_here(client, lost)
    assert await is_here(client, kept)
    assert [name for name in keys(service) if lost.hex in name] == []
    rows = query(service.folder / "data", "SELECT state, generation, reason, size, gone_at FROM tombstone")
    assert [row[:4] for row in rows] == [("gone", 1, "unnamed", len(b"never named"))]
    assert rows[0][4] is not None
    jobs = query(service.folder / "data", "SELECT topic FROM queue WHERE kind = 'control'")
    assert jobs == [(f"tombstone/blob/{lost.hex}/1",)]
    assert not (await service.collect()).things


async def test_what_came_again_after_its_removal_is_as_new_and_counts_its_removals(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for generation in (1, 2, 3):
        lost = await unnamed(service, b"again and again")
        await service.read_back()
        assert await is_here(client, lost)
        service.clock.advance(DAY + 1)
        await service.collect()
        assert not await is_here(client, lost)
        (row,) = query(service.folder / "data", "SELECT state, generation, attested FROM tombstone")
        assert row == ("gone", generation, None)


async def test_being_told_that_bytes_are_here_keeps_them_for_a_grace_period(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost = await unnamed(service, b"asked for")
    service.clock.advance(DAY - 1)
    answer = await client.post("/v1/blobs/missing", json={"digests": [str(lost)]})
    assert answer.json() == {"missing": []}
    service.clock.advance(DAY - 1)
    assert not (await service.collect()).things
    assert await is_here(client, lost)
    service.clock.advance(2)
    assert (await service.collect()).things
    answer = await client.post("/v1/blobs/missing", json={"digests": [str(lost)]})
    assert answer.json() == {"missing": [str(lost)]}


async def test_a_question_about_fresh_bytes_writes_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    some = await unnamed(service, b"fresh")
    for _ in range(2):
        service.clock.advance(DAY / 4 - 1)
        await client.post("/v1/blobs/missing", json={"digests": [str(some)]})
        found = query(service.folder / "data", "SELECT named_at FROM last_use")
        service.clock.advance(2)
        await client.post("/v1/blobs/missing", json={"digests": [str(some)]})
        assert len(query(service.folder / "data", "SELECT named_at FROM last_use")) == 1
        assert found == [] or found == query(service.folder / "data", "SELECT named_at FROM last_use")
        change(service.folder / "data", "DELETE FROM last_use")
        change(service.folder / "data", "UPDATE receipt SET hashed_at = hashed_at + ?", DAY * 250)


async def test_bytes_that_are_sent_again_stay_another_grace_period(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost = await unnamed(service, b"sent twice")
    service.clock.advance(DAY - 1)
    await unnamed(service, b"sent twice")
    service.clock.advance(DAY - 1)
    assert not (await service.collect()).things
    service.clock.advance(2)
    assert (await service.collect()).things
    assert not await is_here(client, lost)


async def test_what_came_while_a_step_was_open_stays_until_it_is_finished(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    lost = await unnamed(service, b"the step may still name it")
    service.clock.advance(DAY + 1)
    assert not (await service.collect()).things
    await finish(client, step)
    await service.sign()
    service.clock.advance(DAY + 1)
    assert (await service.collect()).things
    assert not await is_here(client, lost)


async def test_a_dry_run_says_the_same_and_removes_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await present_tree(service, client)
    await unnamed(service, b"garbage")
    change(service.folder / "data", "DELETE FROM reference")
    change(service.folder / "data", "DELETE FROM artifact")
    service.clock.advance(DAY + 1)
    before = keys(service)
    dry = await service.collect(dry_run=True)
    assert keys(service) == before
    assert query(service.folder / "data", "SELECT * FROM tombstone") == []
    real = await service.collect()
    assert (dry.things, dry.bytes, dry.largest) == (real.things, real.bytes, real.largest)
    assert real.things == {("default", "tree", "unnamed"): 1, ("default", "blob", "unnamed"): 2}
    assert keys(service) == []


async def present_tree(service: Service, client: httpx2.AsyncClient) -> str:
    """A tree with a pack, both sent by the project."""
    tree = a_tree()
    await send(client, tree, a_pack())
    await service.read_back()
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"
    return tree.url


async def test_the_packs_of_a_tree_stay_while_the_tree_stays(
    service: Service, client: httpx2.AsyncClient
) -> None:
    url = await present_tree(service, client)
    service.clock.advance(DAY * 30)
    everything = '[[rule]]\nkind = "blob"\nolder_than = "1d"\n'
    assert not (await service.collect(everything)).things
    assert (await client.get(f"{url}?as=tar")).status_code == 200
    both = everything + '[[rule]]\nkind = "tree"\nolder_than = "1d"\n'
    found = await service.collect(both)
    assert found.things["default", "tree", "rule"] == 1
    assert (await client.get(url)).status_code == 404
    assert query(service.folder / "data", "SELECT * FROM location") == []
    assert keys(service) == []


async def test_a_tree_that_was_removed_can_be_sent_again(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(2):
        url = await present_tree(service, client)
        assert (await client.get(f"{url}?as=tar")).status_code == 200
        service.clock.advance(DAY * 2)
        await service.collect('[[rule]]\nolder_than = "1d"\n')
        assert keys(service) == []


async def test_a_pack_stays_while_a_content_in_it_is_an_artifact(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await present_tree(service, client)
    pack = query(service.folder / "data", "SELECT DISTINCT pack FROM location")
    content = query(service.folder / "data", "SELECT digest FROM location")[0][0]
    said = {"digest": {"sha256": content.hex()}, "uri": "https://example.com/content"}
    assert (await client.post("/v1/artifacts", json=said)).status_code == 201
    service.clock.advance(DAY * 2)
    found = await service.collect('[[rule]]\nkind = "tree"\nolder_than = "1d"\n')
    assert set(found.things) == {("default", "tree", "rule")}
    assert await is_here(client, Digest.sha256(content))
    assert len(pack) == 1


async def test_a_rule_removes_what_is_named_and_says_which_rule_it_was(
    service: Service, client: httpx2.AsyncClient
) -> None:
    old = await named(client, b"nightly", "nightly/app.whl")
    kept = await named(client, b"release", "release/app.whl")
    service.clock.advance(DAY * 100)
    rules = '[[rule]]\nname = "release/*"\nkeep = true\n[[rule]]\nname = "*.whl"\nolder_than = "90d"\n'
    found = await service.collect(rules)
    assert found.things == {("default", "blob", "rule"): 1}
    assert not await is_here(client, old)
    assert await is_here(client, kept)
    ((detail,),) = query(service.folder / "data", "SELECT detail FROM tombstone")
    assert detail == "rule 2: name = *.whl, older_than = 90d"
    page = (await client.get(f"/v1/artifacts/{old}")).json()
    assert page["references"][0]["name"] == "nightly/app.whl"
    (removed,) = page["removed"]
    assert removed.pop("at").startswith("2027-03-02T")
    assert removed == {"kind": "blob", "state": "gone", "reason": "rule", "detail": detail, "barred": False}
    await named(client, b"nightly")
    assert "removed" not in (await client.get(f"/v1/artifacts/{old}")).json()


async def test_what_is_held_stays_whatever_the_rules_say(
    service: Service, client: httpx2.AsyncClient
) -> None:
    held = await named(client, b"evidence", "x")
    lost = await unnamed(service, b"evidence too")
    for digest in (Digest.parse(held), lost):
        change(
            service.folder / "data",
            "INSERT INTO hold (project, digest, reason, placed_at) VALUES ('default', ?, 'a case', 1)",
            digest.raw,
        )
    service.clock.advance(DAY * 100)
    assert not (await service.collect('[[rule]]\nolder_than = "1d"\n')).things
    assert await is_here(client, held)
    assert await is_here(client, lost)


async def test_an_output_whose_step_is_not_signed_yet_stays(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    digest = f"sha256:{sha256(b'an output')}"
    await put(client, step, "x", b"an output")
    await finish(client, step)
    service.clock.advance(DAY * 2)
    rules = '[[rule]]\nolder_than = "1d"\n'
    assert not (await service.collect(rules)).things
    await service.read_back()
    await service.sign()
    service.clock.advance(DAY * 2)
    assert (await service.collect(rules)).things
    assert not await is_here(client, digest)
    assert (await client.get(step.url)).json()["state"] == "signed"


async def test_over_budget_the_least_recently_used_goes_first_and_no_more_than_needed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    digests = []
    for number in range(4):
        digests.append(await named(client, b"%d" % number * 1000, f"n{number}"))
        service.clock.advance(60)
    await named(client, b"k" * 1000, "keep")
    service.clock.advance(DAY * 2)
    rules = '[[rule]]\nname = "keep"\nkeep = true\n[[rule]]\nover_budget = true\n'
    budget = '[[budget]]\nproject = "default"\nbytes = 3500\n'
    dry = await service.collect(rules + budget, dry_run=True)
    found = await service.collect(rules + budget)
    assert (found.things, dry.things) == ({("default", "blob", "rule"): 2},) * 2
    assert [await is_here(client, digest) for digest in digests] == [False, False, True, True]
    assert found.over_budget == {}
    tight = '[[budget]]\nproject = "default"\nbytes = 500\n'
    assert (await service.collect(rules + tight)).over_budget == {"default": 500}


async def test_one_project_is_collected_by_its_own_names_and_times_alone(service: Service) -> None:
    mine = await unnamed(service, b"in both")
    await unnamed(service, b"in both", "other")
    service.clock.advance(DAY + 1)
    found = await service.collect(only="other")
    assert found.things == {("other", "blob", "unnamed"): 1}
    async with service.client() as client, service.client("cpt_other") as other:
        assert await is_here(client, mine)
        assert not await is_here(other, mine)


async def test_bytes_that_are_being_removed_are_asked_for_again_later(
    service: Service, client: httpx2.AsyncClient
) -> None:
    lost = await unnamed(service, b"under removal")
    removals = Removals(service.database, service.store, service.clock)
    thing = Thing("default", "blob", lost)
    async with service.database.writing() as connection:
        await locks.alone(connection, "default", [lost])
        assert await removals.decide(connection, thing, reason="unnamed", now=1)
    assert not await is_here(client, lost)
    refused = await client.post("/v1/blobs/uploads", content=b"under removal", headers=BYTES)
    assert refused.status_code == 503, refused.text
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"].endswith("#being-removed")
    assert await service.remove() == 1
    again = await client.post("/v1/blobs/uploads", content=b"under removal", headers=BYTES)
    assert again.status_code == 201
    assert await is_here(client, lost)


async def test_an_upload_that_a_removal_overtook_is_not_acknowledged(service: Service) -> None:
    content = service.parts.content
    taken = await content.receive("default", pieces(b"overtaken"), declared=None)
    removals = Removals(service.database, service.store, service.clock)
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", taken.digest)
        assert await removals.decide(connection, thing, reason="unnamed", now=1)
    await service.remove()
    with pytest.raises(BeingRemovedError):
        async with service.database.writing() as connection:
            await content.note(connection, "default", taken)
    with pytest.raises(NotFoundError):
        await content.size("default", taken.digest)


async def test_what_was_purged_is_not_taken_in_again(service: Service, client: httpx2.AsyncClient) -> None:
    lost = await unnamed(service, b"a secret")
    announced = {"digest": str(lost), "size": len(b"a secret")}
    begun = await client.post("/v1/blobs/uploads?resumable=1", json=announced)
    parts = f"/v1/blobs/uploads/{begun.json()['upload']}"
    removals = Removals(service.database, service.store, service.clock)
    async with service.database.writing() as connection:
        thing = Thing("default", "blob", lost)
        assert await removals.decide(connection, thing, reason="purged", detail="a token", barred=True, now=1)
    await service.remove()
    for _ in range(2):
        refused = await client.post("/v1/blobs/uploads", content=b"a secret", headers=BYTES)
        assert refused.status_code == 410, refused.text
    assert (await client.post("/v1/blobs/uploads?resumable=1", json=announced)).status_code == 410
    await client.put(f"{parts}/parts/1", content=b"a secret", headers=BYTES)
    ended = await client.post(f"{parts}/complete")
    assert (ended.status_code, ended.json()["detail"]) == (422, refused.json()["detail"])
    assert keys(service) == []


async def test_what_is_read_counts_as_used_and_is_written_down_once_a_day(
    service: Service, client: httpx2.AsyncClient
) -> None:
    read, unread = await named(client, b"read", "a"), await named(client, b"unread", "b")
    url = await present_tree(service, client)
    rules = '[[rule]]\nunused_for = "30d"\n'
    service.clock.advance(DAY * 29)
    for _ in range(3):
        assert await is_here(client, read)
        assert (await client.get(f"{url}/manifest")).status_code == 200
    await service.parts.naming.write_uses()
    await service.parts.naming.write_uses()
    noted = query(service.folder / "data", "SELECT digest, named_at FROM last_use WHERE used_at > 0")
    assert len(noted) == 2
    service.clock.advance(DAY * 2)
    found = await service.collect(rules)
    assert found.things == {("default", "blob", "rule"): 1}
    assert not await is_here(client, unread)
    assert await is_here(client, read)
    service.clock.advance(DAY * 29)
    assert (await service.collect(rules, dry_run=True)).things["default", "tree", "rule"] == 1


async def test_reads_that_cannot_be_written_down_harm_nobody(service: Service) -> None:
    nowhere = connect(f"sqlite+aiosqlite:///{service.folder}/nowhere/custody.db")
    naming = Naming(nowhere, service.clock)
    naming.use("default", Digest.of(b"x"))
    with pytest.raises(UnavailableError):
        await naming.write_uses()
    naming.use("default", Digest.of(b"y"))
    await naming._try_writing()
    await nowhere.close()
