"""Indexes that lie and packs that are none: all of such a pack is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable

import httpx2
import pytest

from tests.attacks.lies import LYING, PLAINLY_WRONG, Index
from tests.attacks.wreckage import nothing_of_it, outcome
from tests.service import Service, sha256
from tests.trees.shapes import (
    CONTENTS,
    Pack,
    Tree,
    a_pack,
    a_tree,
    file,
    put_manifest,
    send,
    upload,
)
from tests.trees.test_packs import EVIL_FRAMES


@pytest.mark.parametrize("lie", PLAINLY_WRONG)
async def test_an_index_that_cannot_be_right_is_refused_at_once(
    service: Service, client: httpx2.AsyncClient, lie: Callable[[Index], None]
) -> None:
    tree, pack = a_tree(), a_pack()
    await put_manifest(client, tree)
    await upload(client, pack.content)
    index = copy.deepcopy(pack.index)
    lie(index)
    assert (await client.post(tree.url, json={"packs": [index]})).status_code == 422
    assert await outcome(service, client, tree) == "incomplete"
    nothing_of_it(service)


@pytest.mark.parametrize("lie", LYING)
async def test_an_index_that_lies_is_refused_with_all_of_its_pack(
    service: Service, client: httpx2.AsyncClient, lie: Callable[[Index], None]
) -> None:
    tree, pack = a_tree(), a_pack()
    await put_manifest(client, tree)
    await upload(client, pack.content)
    index = copy.deepcopy(pack.index)
    lie(index)
    assert (await client.post(tree.url, json={"packs": [index]})).status_code == 202
    assert await outcome(service, client, tree) == "refused"
    nothing_of_it(service)
    # Even the files that were right are missing still.
    digests = [sha256(one) for one in CONTENTS.values()]
    assert (await client.post("/v1/trees/missing", json={"digests": digests})).json()["missing"] == digests


@pytest.mark.parametrize("name", [name for name in EVIL_FRAMES if EVIL_FRAMES[name]])
async def test_a_pack_with_a_dishonest_frame_is_refused(
    service: Service, client: httpx2.AsyncClient, name: str
) -> None:
    content = b"content" * 100
    pack, tree = Pack.of([b"honest"]), Tree([file("a", content), file("b", b"honest")])
    pack.add(EVIL_FRAMES[name], [content])
    await send(client, tree, pack)
    assert await outcome(service, client, tree) == "refused"
    nothing_of_it(service)
