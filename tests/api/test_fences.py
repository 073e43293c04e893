"""Quotas and rates: what one project uses up is its own, and what it has already is never refused."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from api.parts import Fences, assemble
from api.problems import PROBLEM_JSON
from api.quotas import Allowed
from api.rates import MAX_BUCKETS, Rates
from artifacts.errors import RateLimitedError
from artifacts.trees import compression
from tests.service import PUBLIC_URL, TOKENS, HandClock, Service, sha256
from tests.trees.shapes import a_pack, a_tree, put_manifest, send


def fenced(service: Service, fences: Fences) -> Service:
    """The same service behind an api with limits."""
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=service.database,
        store=service.store,
        clock=service.clock,
        fences=fences,
    )
    return replace(service, parts=parts)


def declared(content: bytes) -> dict[str, str]:
    raw = hashlib.sha256(content).digest()
    return {"Content-Digest": f"sha-256=:{base64.b64encode(raw).decode()}:"}


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


def assert_over_quota(answer: httpx2.Response) -> None:
    assert answer.status_code == 413
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert answer.headers["retry-after"] == "3600"
    assert answer.json()["type"] == f"{PUBLIC_URL}/problems#quota-exceeded"


async def keys(service: Service) -> list[str]:
    return [str(found.key) async for found in service.store.list("")]


async def test_what_does_not_fit_is_refused_and_leaves_nothing(service: Service) -> None:
    small = fenced(service, Fences(bytes=Allowed(100)))
    async with small.client() as client:
        assert (await client.post("/v1/blobs/uploads", content=b"a" * 60)).status_code == 201
        before = await keys(service)
        refused = await client.post("/v1/blobs/uploads", content=b"b" * 60)
        assert_over_quota(refused)
        assert (refused.json()["quota"], refused.json()["used"], refused.json()["size"]) == (100, 60, 60)
        assert await keys(service) == before
        assert (await client.get(f"/v1/blobs/sha256:{sha256(b'b' * 60)}")).status_code == 404
        assert (await client.post("/v1/blobs/uploads", content=b"c" * 40)).status_code == 201


async def test_the_same_bytes_again_are_never_refused(service: Service) -> None:
    kept = b"k" * 100
    small = fenced(service, Fences(bytes=Allowed(100)))
    async with small.client() as client:
        assert (await client.post("/v1/blobs/uploads", content=kept)).status_code == 201
        for headers in ({}, declared(kept)):
            for body in (kept, pieces(kept)):
                again = await client.post("/v1/blobs/uploads", content=body, headers=headers)
                assert again.status_code == 200
        step = {"id": "01K" + "0" * 23, "token_sha256": sha256(b"t"), "name": "s"}
        assert (await client.post("/v1/steps", json=step)).status_code == 201
        path = f"/v1/steps/{step['id']}/outputs"
        assert (await client.put(f"{path}/kept", content=kept)).status_code == 201
        assert_over_quota(await client.put(f"{path}/new", content=b"x"))
        assert_over_quota(await client.put(f"{path}/new", content=b"x", headers=declared(b"x")))


async def test_what_clearly_does_not_fit_is_refused_before_it_is_read(service: Service) -> None:
    small = fenced(service, Fences(bytes=Allowed(10)))
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"z" * 1000

    headers = {**declared(b"z" * 1000), "Content-Length": "1000"}
    async with small.client() as client:
        request = client.build_request("POST", "/v1/blobs/uploads", content=body(), headers=headers)
        assert_over_quota(await client.send(request))
    assert await keys(service) == []


async def test_an_upload_in_parts_counts_from_its_announcement(service: Service) -> None:
    small = fenced(service, Fences(bytes=Allowed(100)))
    announced = {"digest": f"sha256:{sha256(b'p' * 80)}", "size": 80}
    async with small.client() as client:
        first = await client.post("/v1/blobs/uploads?resumable=1", json=announced)
        assert first.status_code == 201
        assert_over_quota(await client.post("/v1/blobs/uploads", content=b"q" * 30))
        small.clock.advance(60)
        assert_over_quota(await client.post("/v1/blobs/uploads", content=b"q" * 30))
        part = f"/v1/blobs/uploads/{first.json()['upload']}"
        assert (await client.put(f"{part}/parts/1", content=b"p" * 80)).status_code == 201
        assert (await client.post(f"{part}/complete")).status_code == 200
        too_large = {"digest": f"sha256:{sha256(b'r')}", "size": 30}
        assert_over_quota(await client.post("/v1/blobs/uploads?resumable=1", json=too_large))


async def test_of_uploads_at_the_same_time_only_as_many_pass_as_fit(service: Service) -> None:
    small = fenced(service, Fences(bytes=Allowed(100)))
    async with small.client() as client:
        bodies = [bytes([number]) * 30 for number in range(10)]
        answers = await asyncio.gather(*(client.post("/v1/blobs/uploads", content=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [413] * 7


async def test_a_full_project_takes_nothing_from_another(service: Service) -> None:
    small = fenced(service, Fences(bytes=Allowed(10, {"other": 50})))
    async with small.client() as ours, small.client(TOKENS["other"]) as theirs:
        assert (await theirs.post("/v1/blobs/uploads", content=b"x" * 50)).status_code == 201
        # The same bytes are not ours because they are theirs.
        assert_over_quota(await ours.post("/v1/blobs/uploads", content=b"x" * 50))
        assert (await ours.post("/v1/blobs/uploads", content=b"y" * 10)).status_code == 201
        assert_over_quota(await theirs.post("/v1/blobs/uploads", content=b"y" * 10))


async def test_a_token_that_asks_too_often_is_told_to_wait_and_the_other_project_is_not(
    service: Service,
) -> None:
    slow = fenced(service, Fences(rate=0.5, burst=3))
    async with slow.client() as ours, slow.client(TOKENS["other"]) as theirs:
        codes = [(await ours.get("/v1/artifacts?name=x")).status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = await ours.post("/v1/blobs/uploads", content=b"x")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "2"
        assert refused.json()["type"].endswith("#rate-limited")
        assert await keys(service) == []
        assert (await theirs.get("/v1/artifacts?name=x")).status_code == 200
        assert (await ours.get("/healthz")).status_code == 200
        slow.clock.advance(2)
        assert (await ours.get("/v1/artifacts?name=x")).status_code == 200
        assert (await ours.get("/v1/artifacts?name=x")).status_code == 429


async def test_a_step_draws_from_the_token_that_began_it(service: Service) -> None:
    slow = fenced(service, Fences(rate=0.001, burst=3))
    step = {"id": "01K" + "0" * 23, "token_sha256": sha256(b"cst_step"), "name": "s"}
    async with slow.client() as project, slow.client("cst_step") as own:
        assert (await project.post("/v1/steps", json=step)).status_code == 201
        codes = [(await own.get(f"/v1/steps/{step['id']}")).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert (await project.get("/v1/artifacts?name=x")).status_code == 429


def test_buckets_never_outgrow_their_number() -> None:
    rates = Rates(HandClock(), rate=1, burst=1)
    for number in range(MAX_BUCKETS + 50):
        rates.spend(f"token:{number}")
    assert len(rates._buckets) == MAX_BUCKETS


@given(st.lists(st.floats(-5, 20), max_size=60), st.floats(0.1, 50), st.integers(1, 20))
def test_never_more_pass_than_the_burst_and_the_rate_allow(
    pauses: list[float], rate: float, burst: int
) -> None:
    clock = HandClock()
    rates = Rates(clock, rate=rate, burst=burst)
    passed, forward = 0, 0.0
    for pause in pauses:
        clock.advance(pause)
        forward += max(0.0, pause)
        try:
            rates.spend("token:one")
            passed += 1
        except RateLimitedError as error:
            waited = error.facts["retry_after"]
            assert isinstance(waited, int)
            assert waited >= 1
    assert passed <= burst + forward * rate + 1e-3


async def test_manifests_layouts_and_packs_count(service: Service) -> None:
    tree, pack = a_tree(), a_pack()
    packed = len(compression.encode(tree.text))
    small = fenced(service, Fences(bytes=Allowed(packed + len(pack.content))))
    async with small.client() as client:
        assert (await send(client, tree, pack)).status_code == 202
        assert_over_quota(await client.post("/v1/blobs/uploads", content=b"x"))
        # The layout is a worker's and never refused, so it may go beyond by its own size.
        await service.check_trees()
        service.clock.advance(60)
        layout = len((await client.get(f"{tree.url}/layout")).content)
        refused = await client.post("/v1/blobs/uploads", content=b"x")
        assert_over_quota(refused)
        assert refused.json()["used"] == packed + len(pack.content) + layout
        # What is here already costs nothing.
        assert (await send(client, tree, pack)).status_code == 200


async def test_a_tree_beyond_the_quota_is_refused_and_leaves_nothing(service: Service) -> None:
    tree = a_tree()
    packed = len(compression.encode(tree.text))
    small = fenced(service, Fences(bytes=Allowed(packed - 1)))
    async with small.client() as client:
        assert_over_quota(await put_manifest(client, tree))
        assert await keys(service) == []
        assert (await client.get(tree.url)).status_code == 404
        # The text of a manifest is no manifest: that it is known as a blob makes no room for it.
        just = fenced(service, Fences(bytes=Allowed(packed + len(tree.text) - 1)))
        async with just.client() as roomier:
            assert (await roomier.post("/v1/blobs/uploads", content=tree.text)).status_code == 201
            assert_over_quota(await put_manifest(roomier, tree))


async def test_a_tree_made_of_outputs_is_no_way_round_the_quota(service: Service) -> None:
    step = {"id": "01K" + "0" * 23, "token_sha256": sha256(b"t"), "name": "s"}
    small = fenced(service, Fences(bytes=Allowed(10)))
    async with small.client() as client:
        assert (await client.post("/v1/steps", json=step)).status_code == 201
        outputs = f"/v1/steps/{step['id']}/outputs"
        assert (await client.put(f"{outputs}/dist/a", content=b"a")).status_code == 201
        before = await keys(service)
        assert_over_quota(await client.post(f"{outputs}/dist/tree"))
        assert await keys(service) == before
