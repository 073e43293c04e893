"""The parts of a reindex, each at its edge."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import cast

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import utils

from artifacts import layout, named_keys
from artifacts.digest import Digest
from artifacts.errors import CorruptedError
from artifacts.layout import Key
from artifacts.storage.protocol import Listed
from artifacts.storage.unchanging import UnchangingStore
from artifacts.tables import queue
from artifacts.trees.layout_reading import unfolded
from artifacts.trees.taking import CHECK
from provenance import dsse
from provenance.bundle import Bundle
from provenance.reindex.ahead import Ahead
from provenance.reindex.reading import abreast, chunked, lying
from provenance.reindex.report import MAX_LISTED, Report
from provenance.reindex.trees import FoundTree, TreeFiler
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import begin, built, finish
from tests.attacks.planting import honest, plant
from tests.reindex.corpus import answers, journal_tokens, objects, recorded, reindex
from tests.service import Service, sha256
from tests.trees.shapes import Tree, a_pack, a_tree, file, send, upload

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256."""


async def _numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
async def test_everything_is_worked_on_in_order_and_a_bounded_number_at_a_time(count: int) -> None:
    busy, most = 0, 0

    async def work(chunk: list[int]) -> list[int]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0)
        busy -= 1
        return chunk

    done = [
        number
        async for chunk in abreast(chunked(_numbers(count), size=2), work, at_once=2)
        for number in chunk
    ]
    assert done == list(range(count))
    assert most <= 2


async def test_who_stops_listening_leaves_nothing_under_way() -> None:
    ended = asyncio.Event()

    async def work(number: int) -> int:
        if number == 0:
            return 0
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return number

    working = abreast(_numbers(3), work, at_once=3)
    assert await anext(working) == 0
    await asyncio.sleep(0)
    await cast("AsyncGenerator[int, None]", working).aclose()
    assert ended.is_set()


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_what_is_gone_or_none_of_ours_is_left_out(service: Service, one_by_one: bool) -> None:
    good, strange = Key("attestations/good"), Key("attestations/strange")
    plant(service, good, b"good")
    (objects(service) / str(strange)).mkdir()
    chunk = [Listed(key, 0, AT) for key in (good, strange, Key("attestations/gone"))]
    store = UnchangingStore(service.store) if one_by_one else service.store
    report = Report()
    assert [one.content for one in await lying(store, chunk, report)] == [b"good"]
    assert [one.key for one in report.quarantined] == [str(strange)]
    assert report.counts["gone while reading"] == 1


@pytest.mark.parametrize("frame", [b"", b"no frame"])
def test_what_is_no_layout_is_not_unfolded(frame: bytes) -> None:
    with pytest.raises(CorruptedError):
        unfolded(frame)


async def test_of_two_runs_of_one_name_without_or_both_with_steps_the_first_is_found(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    principal = f"token:01K{0:023d}"
    ids = ["01A" + "0" * 23, "01B" + "0" * 23]
    for id_ in ids:
        fact: dict[str, object] = {"fact": "run", "id": id_, "name": "nightly", "named": True}
        await service.parts.recorder._journal("default", fact, principal, at=service.clock.now())
        service.clock.advance(1)
    await reindex(fresh)
    for id_ in ids:
        await fresh.parts.recorder.begin_run("default", principal, id_=id_, name=None)
        async with fresh.client() as client:
            await finish(client, await begin(client, run=id_))
    await reindex(fresh)
    async with fresh.client() as client:
        assert (await client.post("/v1/runs", json={"name": "nightly"})).json()["id"] == ids[0]


def test_lists_are_bounded_and_counts_are_not() -> None:
    report = Report()
    for number in range(MAX_LISTED + 1):
        report.doubt(str(number), "planted")
        report.note(report.unsigned, "records unsigned", str(number))
    assert (len(report.quarantined), len(report.unsigned)) == (MAX_LISTED, MAX_LISTED)
    assert (report.counts["quarantined"], report.counts["records unsigned"]) == (
        MAX_LISTED + 1,
        MAX_LISTED + 1,
    )


async def test_a_new_service_may_be_signed_with(service: Service) -> None:
    looking = Ahead(service.database, service.store, service.signer.public_key, None)
    await looking.check(now=service.clock.now())
    async with service.client() as client:
        await built(service, client)
    await looking.check(now=service.clock.now())


async def test_small_transactions_end_in_the_same_index(service: Service, fresh: Service) -> None:
    corpus = await recorded(service)
    before = await answers(service, corpus)
    assert (await reindex(fresh, at_once=2)).clean
    after = await answers(fresh, corpus)
    assert {url: (told, after[url]) for url, told in before.items() if after[url] != told} == {}


async def test_of_two_signatures_over_one_statement_the_one_that_stands_stands(
    service: Service, fresh: Service
) -> None:
    step = await honest(service)
    await reindex(fresh)
    (path,) = (objects(service) / "attestations").rglob("*.json")
    envelope = Bundle.parse(path.read_bytes()).envelope
    r, s = utils.decode_dss_signature(envelope.signatures[0].sig)
    twin = dsse.Signature(utils.encode_dss_signature(r, _ORDER - s), envelope.signatures[0].keyid)
    bundle = Bundle.of(dsse.Envelope(PAYLOAD_TYPE, envelope.payload, (twin,))).to_bytes()
    planted = plant(service, layout.attestation(Digest.of(bundle)), bundle)
    late = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    os.utime(path, (late, late))
    report = await reindex(fresh)
    assert f"attestations/sha256/{planted.name}" in {one.key for one in report.quarantined}
    async with fresh.client() as client:
        page = (await client.get(step.url)).json()
    assert [one["digest"][7:] for one in page["attestations"]] == [path.stem]


async def test_a_tree_whose_receipt_is_gone_by_now_is_listed(service: Service, fresh: Service) -> None:
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
    digest = Digest.parse(tree.digest)
    named = named_keys.named(layout.manifest("default", digest))
    assert named is not None
    report = Report()
    gone = layout.receipt("default", digest, "tree")
    await TreeFiler(fresh.database, fresh.store, report).file(FoundTree(named, gone, AT))
    assert [one.reason for one in report.quarantined] == ["the receipt of the tree is gone"]


async def test_a_tree_that_waits_is_not_touched_when_others_are_filed(
    service: Service, fresh: Service
) -> None:
    content = b"large " * 300_000
    async with service.client() as client:
        await upload(client, content)
        await service.read_back()
        await send(client, Tree([file("large.bin", content)]))
        await service.check_trees()
        service.clock.advance(1)
        await send(client, a_tree(), a_pack())
        await service.check_trees()
    worker = layout.receipt("default", Digest("sha256", sha256(content)), "worker")
    (objects(service) / str(worker)).unlink()
    assert (await reindex(fresh)).counts["trees"] == 1
    async with fresh.database.reading() as connection:
        found = await connection.execute(sa.select(queue.c.attempt).where(queue.c.kind == CHECK))
    assert found.scalars().all() == [1]


async def test_a_tree_waits_for_a_blob_that_is_to_be_read_back_again(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    content = b"large " * 300_000
    tree = Tree([file("large.bin", content)])
    async with service.client() as client:
        await upload(client, content)
        await service.read_back()
        await send(client, tree)
        await service.check_trees()
    worker = layout.receipt("default", Digest("sha256", sha256(content)), "worker")
    (objects(service) / str(worker)).unlink()
    assert (await reindex(fresh)).clean
    async with fresh.client() as client:
        assert (await client.get(tree.url)).json()["state"] == "checking"
        assert await fresh.read_back() == 1
        fresh.clock.advance(20 * 365 * 24 * 3600)  # beyond the times of the objects, which are of today
        await fresh.check_trees()
        assert (await client.get(tree.url)).json()["state"] == "present"
