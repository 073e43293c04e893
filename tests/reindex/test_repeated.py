"""What is asked again after the index was lost is answered as before."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.attacks.actors import an_id, begin, finish, put
from tests.reindex.corpus import COMMIT, alike, journal_tokens, reindex
from tests.service import TOKENS, Service, reference

pytestmark = pytest.mark.both_databases

SOURCE = {"uri": "git+https://host/x", "digest": COMMIT, "name": "x"}


def a_record(**changes: Any) -> dict[str, Any]:
    """A whole step with something of everything."""
    return {
        "id": an_id(),
        "name": "train",
        "outcome": "succeeded",
        "command": ["make", "model"],
        "parameters": {"rate": 3, "deep": True},
        "environment": {"CI": "1"},
        "source": SOURCE,
        "client": "test/1",
        "ci": {"system": "here", "url": "https://host/1"},
        "exit_status": 0,
        "began_at": "2026-11-22T09:00:00Z",
        "finished_at": "2026-11-22T09:59:00.5Z",
        "inputs": [reference(b"b", uri="pkg:generic/b@1"), reference(b"a", name="a"), reference(b"b")],
        "outputs": [
            reference(b"model", name="z/model", mediaType="application/x-model"),
            reference(b"other", name="a", annotations={"kind": "model"}),
        ],
        "byproducts": [reference(b"log", name="log")],
        **changes,
    }


async def sent(service: Service, body: dict[str, Any], token: str = TOKENS["default"]) -> httpx2.Response:
    async with service.client(token) as client:
        return await client.post("/v1/records", json=body)


@pytest.mark.parametrize("signed", [True, False])
async def test_a_whole_step_that_is_sent_again_is_the_same_step(
    service: Service, fresh: Service, signed: bool
) -> None:
    await journal_tokens(service)
    bodies = [a_record(), a_record(outcome="failed", exit_status=2, source=None), {"id": an_id(), **LITTLE}]
    bodies[1].pop("source")
    for body in bodies:
        assert (await sent(service, body)).status_code == 201
        service.clock.advance(1.234)
    if signed:
        await service.sign()
    before = [await sent(service, body) for body in bodies]
    assert (await reindex(fresh)).clean
    fresh.clock.advance(5000)
    after = [await sent(fresh, body) for body in bodies]
    assert [answer.status_code for answer in after] == [200, 200, 200]
    assert [alike(answer.json()) for answer in after] == [alike(answer.json()) for answer in before]


LITTLE = {"name": "x", "outcome": "unknown"}


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "failed"},
        {"name": "eval"},
        {"command": ["make"]},
        {"parameters": {"rate": 3}},
        {"environment": {}},
        {"source": None},
        {"client": "test/2"},
        {"exit_status": 1},
        {"began_at": "2026-11-22T09:00:01Z"},
        {"inputs": []},
        {"byproducts": []},
        {"outputs": [reference(b"other model", name="z/model")]},
    ],
)
async def test_another_step_under_its_id_is_refused_as_before(
    service: Service, fresh: Service, changes: dict[str, Any]
) -> None:
    await journal_tokens(service)
    body = a_record()
    assert (await sent(service, body)).status_code == 201
    await reindex(fresh)
    told = [await sent(each, {**body, **changes}) for each in (service, fresh)]
    assert [(answer.status_code, answer.json()["type"]) for answer in told] == [
        (409, told[0].json()["type"])
    ] * 2


async def test_the_step_of_another_project_is_not_found_out_about(service: Service, fresh: Service) -> None:
    await journal_tokens(service)
    body = a_record()
    await sent(service, body)
    await reindex(fresh)
    assert (await sent(fresh, body, TOKENS["other"])).status_code == 201


async def finished(service: Service, url: str, **members: Any) -> httpx2.Response:
    async with service.client() as client:
        return await client.post(f"{url}/finish", json={"outcome": "succeeded", **members})


FINISH = {"exit_status": 0, "parameters": {"loss": "0.1"}, "finished_at": "2026-11-22T10:00:00Z"}


async def test_a_finish_with_parameters_of_its_own_is_recognised_again(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        step = await begin(client, parameters={"rate": 3}, source=SOURCE, ci={"system": "here"})
        inputs = [reference(b"b", uri="pkg:generic/b@1"), reference(b"a")]
        await client.post(f"{step.url}/inputs", json={"inputs": inputs})
        await put(client, step, "z", b"sent by the project's token")
        async with service.client(step.token) as own:
            await put(own, step, "a", b"sent by the step's own")
    service.clock.advance(7)
    assert (await finished(service, step.url, **FINISH)).status_code == 202
    await reindex(fresh)
    fresh.clock.advance(5000)
    again = await finished(fresh, step.url, **FINISH)
    assert (again.status_code, again.json()["state"]) == (202, "sealed")
    await fresh.sign()
    assert (await finished(fresh, step.url, **FINISH)).status_code == 200
    for other in (
        {**FINISH, "exit_status": 1},
        {**FINISH, "parameters": {"loss": "0.2"}},
        {**FINISH, "parameters": {"loss": "0.1", "more": 1}},
        {**FINISH, "outcome": "failed"},
    ):
        assert (await finished(fresh, step.url, **other)).status_code == 409


async def test_what_was_begun_and_what_was_sent_whole_are_told_apart_as_before(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    async with service.client() as client:
        step = await begin(client, name="x")
        await finish(client, step)
    whole = {"id": an_id(), "name": "x", "outcome": "succeeded"}
    assert (await sent(service, whole)).status_code == 201
    await reindex(fresh)
    other = {**whole, "id": step.id, "command": ["make"]}
    url = f"/v1/steps/{whole['id']}"
    for each in (service, fresh):
        assert (await sent(each, other)).status_code == 409
        assert (await finished(each, url)).status_code == 202
        assert (await finished(each, url, parameters={"n": 1})).status_code == 409


async def test_who_did_not_record_a_step_does_not_learn_what_it_says(
    service: Service, fresh: Service
) -> None:
    await journal_tokens(service)
    body = a_record()
    await sent(service, body)
    another = await _another_token(service)
    await reindex(fresh)
    assert (await sent(service, body, another)).status_code == 403
    assert (await sent(fresh, body, another)).status_code == 403


async def _another_token(service: Service) -> str:
    from artifacts.queries import tokens
    from artifacts.queries.tokens import TokenRow
    from artifacts.tokens import Tokens

    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    await issuing.issue(TokenRow(an_id(), "default", "another"), digest=tokens.hashed("cpt_another"))
    return "cpt_another"
