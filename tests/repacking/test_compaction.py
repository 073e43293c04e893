"""Packs of which little is used are packed anew: trees stay as they are, and space comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.outages import repeated
from artifacts.trees.checking import Checker
from artifacts.trees.placing import Placing
from artifacts.trees.repacking import Repacker
from artifacts.trees.states import Verdict
from artifacts.trees.taking import CHECK
from tests.attacks.remains import change, query
from tests.repacking.bench import (
    DAY,
    GRACE_MS,
    Anew,
    assert_readable,
    bytes_below,
    contents,
    got,
    keep,
    key_of,
    pack_of,
    remove,
    tree_of,
)
from tests.service import Service
from tests.trees.shapes import Tree, put_manifest, send

pytestmark = pytest.mark.both_databases

_IDLE_PACKS = """
    SELECT digest FROM pack
    WHERE EXISTS (SELECT 1 FROM location WHERE location.pack = pack.digest)
      AND NOT EXISTS (SELECT 1 FROM tree_part WHERE part = pack.digest)
"""
ALL = contents("src", 40)
KEPT = {path: ALL[path] for path in list(ALL)[::4]}
"""A quarter of them, no whole frame among it."""


class Overtaken(Checker):
    """A worker that looked up where everything lies, and is overtaken by one that packs anew."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.database, service.store, service.clock)
        self.anew = Anew(service)
        self.seen: list[int] = []

    async def _vouch(self, project: str, tree: Digest, placing: Placing) -> Verdict:
        verdict = await super()._vouch(project, tree, placing)
        if not self.seen:
            self.seen.append((await self.anew.repacker.compact(project)).packs)
        return verdict


class Interrupted(Repacker):
    """A worker that knows what is used of a pack; then something else happens, then it goes on."""

    def __init__(self, service: Service, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(service.database, service.store, service.clock, grace_ms=GRACE_MS)
        self.meanwhile = [meanwhile]

    async def _read(self, project: str, pack: bytes, *, whole: bool) -> bytes | None:
        if self.meanwhile:
            await self.meanwhile.pop()()
        return await super()._read(project, pack, whole=whole)


async def frayed(service: Service, client: httpx2.AsyncClient) -> Tree:
    """A tree that uses a quarter of its pack, after the tree that used all of it was removed."""
    whole = await keep(service, client, ALL)
    tree = await keep(service, client, KEPT)
    await service.read_back()
    await remove(service, whole)
    service.clock.advance(2 * DAY)
    return tree


async def test_a_tree_stays_as_it_is_and_its_pack_shrinks(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    packed = pack_of(ALL.values())
    before = await bytes_below(service.store, "projects/default/blobs/")
    layout = (await client.get(tree.url)).json()["layout"]
    done = await anew.compact()
    assert (done.packs, done.made, done.before, done.lost) == (1, 1, len(packed.content), 0)
    await assert_readable(client, tree, KEPT)
    assert (await client.get(tree.url)).json()["layout"] != layout
    assert await service.store.size(key_of(packed.content)) is not None
    service.clock.advance(DAY + 1)
    await anew.settle()
    assert await service.store.size(key_of(packed.content)) is None
    await assert_readable(client, tree, KEPT)
    after = await bytes_below(service.store, "projects/default/blobs/")
    assert after < 0.4 * before
    assert query(
        service.folder / "data", "SELECT state, reason, barred FROM tombstone WHERE kind = 'blob'"
    ) == [("gone", "packed-anew", False)]


async def test_a_second_time_there_is_nothing_to_do(service: Service, client: httpx2.AsyncClient) -> None:
    await frayed(service, client)
    anew = Anew(service)
    await anew.compact()
    service.clock.advance(2 * DAY)
    assert (await anew.compact()).packs == 0


async def test_trees_that_share_a_pack_are_both_laid_out_anew(
    service: Service, client: httpx2.AsyncClient
) -> None:
    one = await frayed(service, client)
    others = dict(list(ALL.items())[:8]) | contents("new", 3)
    two = await keep(service, client, others, pack_of(contents("new", 3).values()))
    service.clock.advance(2 * DAY)
    anew = Anew(service)
    assert (await anew.compact()).packs == 1
    service.clock.advance(DAY + 1)
    await anew.settle()
    await assert_readable(client, one, KEPT)
    await assert_readable(client, two, others)


async def test_a_pack_that_is_mostly_used_stays(service: Service, client: httpx2.AsyncClient) -> None:
    whole = await keep(service, client, ALL)
    most = await keep(service, client, dict(list(ALL.items())[:30]))
    await remove(service, whole)
    service.clock.advance(2 * DAY)
    assert (await Anew(service).compact()).packs == 0
    await assert_readable(client, most, dict(list(ALL.items())[:30]))


async def test_what_came_or_was_asked_for_lately_stays(service: Service, client: httpx2.AsyncClient) -> None:
    whole = await keep(service, client, ALL)
    await keep(service, client, KEPT)
    await remove(service, whole)
    service.clock.advance(DAY - 10)
    assert (await Anew(service).compact()).packs == 0
    # Whoever is told that contents are here does not send them, and proposes a tree a little later.
    digests = [Digest.of(content).hex for content in ALL.values()]
    assert (await client.post("/v1/trees/missing", json={"digests": digests})).json()["missing"] == []
    service.clock.advance(100)
    assert (await Anew(service).compact()).packs == 0
    again = await keep(service, client, ALL)
    await assert_readable(client, again, ALL)


async def test_what_somebody_names_for_itself_or_holds_stays(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await frayed(service, client)
    named = {
        "digest": {"sha256": pack_of(ALL.values()).digest[7:]},
        "name": "a pack",
        "uri": "https://packs.example/1",
    }
    assert (await client.post("/v1/artifacts", json=named)).status_code in {200, 201}
    assert (await Anew(service).compact()).packs == 0


async def test_an_old_pack_that_is_proposed_again_stays(service: Service, client: httpx2.AsyncClient) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    await anew.compact()
    again = await keep(service, client, ALL)
    service.clock.advance(DAY + 1)
    await anew.settle()
    assert await service.store.size(key_of(pack_of(ALL.values()).content)) is not None
    await assert_readable(client, again, ALL)
    await assert_readable(client, tree, KEPT)


async def test_a_damaged_pack_is_left_alone_and_told_of(service: Service, client: httpx2.AsyncClient) -> None:
    await frayed(service, client)
    pack = pack_of(ALL.values())
    path = service.folder / "data" / "objects" / str(key_of(pack.content))
    path.chmod(0o600)
    path.write_bytes(pack.content[:-1] + b"x")
    done = await Anew(service).compact()
    assert (done.packs, done.damaged) == (0, [Digest.parse(pack.digest)])
    assert path.exists()


async def test_a_tree_that_was_placed_before_is_placed_again(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """A worker looks up where contents lie, then they move, then it would write what it saw."""
    await frayed(service, client)
    others = dict(list(ALL.items())[1:4])
    late = tree_of(others)
    await put_manifest(client, late)
    await send(client, late)
    checker = Overtaken(service)
    await service._labour(CHECK, checker.check)
    assert checker.seen == [1]
    # Nobody had asked for these contents, and no present tree used them: they are missing now.
    assert (await client.get(late.url)).json()["state"] == "incomplete"
    await Anew(service).settle()
    service.clock.advance(DAY + 1)
    await Anew(service).settle()
    await assert_readable(client, await keep(service, client, others), others)


async def test_a_tree_that_comes_meanwhile_loses_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await frayed(service, client)
    more = dict(list(ALL.items())[1:9])
    late: list[Tree] = []

    async def comes() -> None:
        late.append(await keep(service, client, more))

    assert (await repeated(Interrupted(service, comes).compact)("default")).packs == 1
    await Anew(service).settle()
    service.clock.advance(DAY + 1)
    await Anew(service).settle()
    await assert_readable(client, late[0], more)


async def test_what_is_asked_for_meanwhile_stays(service: Service, client: httpx2.AsyncClient) -> None:
    await frayed(service, client)
    digests = {"digests": [Digest.of(content).hex for content in ALL.values()]}

    async def asks() -> None:
        assert (await client.post("/v1/trees/missing", json=digests)).json()["missing"] == []

    assert (await repeated(Interrupted(service, asks).compact)("default")).packs == 0
    service.clock.advance(DAY - 100)
    await Anew(service).settle()
    await keep(service, client, ALL, pack_of([b"one more"]))


async def test_a_tree_that_cannot_be_laid_out_anew_keeps_its_old_layout_and_pack(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    page = (await client.get(tree.url)).json()
    assert (await anew.repacker.compact("default")).packs == 1
    change(
        service.folder / "data",
        "DELETE FROM location WHERE digest = ?",
        Digest.of(next(iter(KEPT.values()))).raw,
    )
    await anew.settle()
    service.clock.advance(2 * DAY)
    await anew.settle()
    assert (await client.get(tree.url)).json() == page
    assert await got(client, tree) == KEPT


async def test_a_tree_with_a_damaged_manifest_keeps_its_old_pack(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    assert (await anew.repacker.compact("default")).packs == 1
    path = service.folder / "data" / "objects" / str(layout.manifest("default", Digest.parse(tree.digest)))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-3])
    await anew.settle()
    service.clock.advance(2 * DAY)
    await anew.settle()
    assert await got(client, tree) == KEPT
    assert (await anew.compact()).packs == 0


async def test_what_a_damaged_manifest_may_use_is_left_alone(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    few = dict(list(KEPT.items())[:2])
    await keep(service, client, few)
    path = service.folder / "data" / "objects" / str(layout.manifest("default", Digest.parse(tree.digest)))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-3])
    done = await anew.compact()
    assert (done.packs, done.damaged) == (0, [Digest.parse(pack_of(ALL.values()).digest)])
    assert await got(client, tree) == KEPT


async def test_a_new_pack_belongs_to_its_trees_before_they_are_laid_out_anew(
    service: Service, client: httpx2.AsyncClient
) -> None:
    tree, anew = await frayed(service, client), Anew(service)
    path, content = next(iter(KEPT.items()))
    url = f"/v1/artifacts/{Digest.of(content)}"
    member = [{"tree": tree.digest, "path": path}]
    assert (await client.get(url)).json()["member_of"] == member
    assert (await anew.repacker.compact("default")).packs == 1
    assert (await client.get(url)).json()["member_of"] == member
    assert query(service.folder / "data", _IDLE_PACKS) == []
    await anew.settle()
    assert (await client.get(url)).json()["member_of"] == member
