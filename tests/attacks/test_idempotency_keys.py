"""An `Idempotency-Key` belongs to one principal, one route and one body."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from tests.attacks.actors import begin, finish
from tests.attacks.raw import assert_problem
from tests.attacks.remains import query, remains
from tests.service import TOKENS, Service, reference, sha256

pytestmark = pytest.mark.both_databases

KEY = {"Idempotency-Key": "deploy-42"}


async def test_a_key_with_another_body_is_refused(service: Service, client: httpx2.AsyncClient) -> None:
    first = await client.post("/v1/runs", json={"name": "one"}, headers=KEY)
    assert first.status_code == 201
    before = remains(service.folder / "data")
    for body in ({"name": "two"}, {"name": "one", "id": first.json()["id"]}, {}):
        answer = await client.post("/v1/runs", json=body, headers=KEY)
        assert_problem(answer, 422, "idempotency-mismatch", hint=True)
    again = await client.post("/v1/runs", json={"name": "one"}, headers=KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_key_of_another_principal_tells_nothing(service: Service, client: httpx2.AsyncClient) -> None:
    mine = (await client.post("/v1/runs", json={"name": "one"}, headers=KEY)).json()
    async with service.client(TOKENS["other"]) as neighbour:
        theirs = await neighbour.post("/v1/runs", json={"name": "one"}, headers=KEY)
        assert theirs.status_code == 201
        assert theirs.json()["id"] != mine["id"]
        assert theirs.json()["project"] == "other"
        other_body = await neighbour.post("/v1/blobs/missing", json={"digests": []}, headers=KEY)
        assert other_body.status_code == 200


async def test_a_key_of_another_route_or_step_is_another_key(
    service: Service, client: httpx2.AsyncClient
) -> None:
    one, two = await begin(client), await begin(client)
    body = {"inputs": [reference(b"x", uri="pkg:a/b@1")]}
    first = await client.post(f"{one.url}/inputs", json=body, headers=KEY)
    assert first.status_code == 200
    # The same route and body for another step: never the first step's answer.
    second = await client.post(f"{two.url}/inputs", json=body, headers=KEY)
    assert_problem(second, 422, "idempotency-mismatch")
    assert (await client.post("/v1/runs", json={"name": "x"}, headers=KEY)).status_code == 201
    found = query(service.folder / "data", "SELECT step FROM step_input")
    assert found == [(one.id,)]


async def test_a_step_token_does_not_see_its_principals_answers(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    body = {"inputs": [reference(b"x", uri="pkg:a/b@1")]}
    first = await client.post(f"{step.url}/inputs", json=body, headers=KEY)
    async with service.client(step.token) as own:
        second = await own.post(f"{step.url}/inputs", json=body, headers=KEY)
    assert first.json() == {"recorded": 1, "known": 0}
    assert second.json() == {"recorded": 0, "known": 1}


@pytest.mark.parametrize("key", ["", "x" * 201, "a\u00adb".encode().decode("latin-1"), "a\tb", "\x7f"])
async def test_a_key_that_is_no_key_is_refused(
    service: Service, client: httpx2.AsyncClient, key: str
) -> None:
    before = remains(service.folder / "data")
    headers = {b"Idempotency-Key": key.encode("latin-1")}
    answer = await client.post("/v1/runs", json={"name": "one"}, headers=headers)
    assert_problem(answer, 422, "invalid-input")
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_refusal_is_not_kept(service: Service, client: httpx2.AsyncClient) -> None:
    run = "01K0000000000000000000RUNS".replace("U", "V")
    step = await begin(client)
    body = {"id": "01K000000000000000000STEP0", "token_sha256": sha256(b"t"), "name": "x", "run": run}
    assert_problem(await client.post("/v1/steps", json=body, headers=KEY), 404, "not-found")
    assert (await client.post("/v1/runs", json={"id": run})).status_code == 201
    assert (await client.post("/v1/steps", json=body, headers=KEY)).status_code == 201
    await finish(client, step)


async def test_a_key_is_forgotten_after_a_day(service: Service, client: httpx2.AsyncClient) -> None:
    first = await client.post("/v1/runs", json={"name": "one"}, headers=KEY)
    service.clock.advance(86_401)
    await service.upkeep.tidy()
    assert query(service.folder / "data", "SELECT count(*) FROM idempotency") == [(0,)]
    again = await client.post("/v1/runs", json={"name": "two"}, headers=KEY)
    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]


async def test_the_same_record_sixty_four_times_is_one_step(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = {"name": "x", "outcome": "succeeded", "outputs": [reference(b"x", name="x")]}
    answers = await asyncio.gather(*(client.post("/v1/records", json=body, headers=KEY) for _ in range(64)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await service.sign() == 1
    left = remains(service.folder / "data")
    assert len(left.rows["step"]) == len(left.rows["attestation"]) == len(left.keys("attestations/")) == 1
