"""What is collected and what stays, over real indexes and a real directory."""

from __future__ import annotations

import httpx2
import pytest

from artifacts.db import connect
from artifacts.digest import Digest
from artifacts.errors import UnavailableError
from artifacts.naming import Naming
from tests.attacks.actors import begin, finish, put
from tests.attacks.remains import change, query
from tests.collecting import DAY, is_here, keys, named, present_tree, unnamed
from tests.service import Service, sha256

pytestmark = pytest.mark.both_databases


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
