"""A sealed step takes nothing more, from nobody, by no route."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.attacks.actors import OpenStep, begin, built, finish
from tests.attacks.raw import assert_problem
from tests.attacks.remains import remains
from tests.service import Service, reference

pytestmark = pytest.mark.both_databases


async def sealed(service: Service, client: httpx2.AsyncClient) -> OpenStep:
    step = await begin(client)
    await finish(client, step)
    return step


async def signed(service: Service, client: httpx2.AsyncClient) -> OpenStep:
    return await built(service, client)


async def expired(service: Service, client: httpx2.AsyncClient) -> OpenStep:
    step = await begin(client, expires_in=1)
    service.clock.advance(2)
    assert await service.upkeep.tidy() == 1
    return step


@pytest.mark.parametrize("made", [sealed, signed, expired])
@pytest.mark.parametrize("by_step", [False, True])
async def test_nothing_is_added_to_a_finished_step(
    service: Service, client: httpx2.AsyncClient, made: object, by_step: bool
) -> None:
    assert callable(made)
    step = await made(service, client)
    if by_step and made is expired:
        return await _refused_by_its_age(service, step)
    before = remains(service.folder / "data")
    async with service.client(step.token) if by_step else service.client() as caller:
        for url, body in (
            ("/inputs", {"inputs": [reference(b"late")]}),
            ("/outputs", {"outputs": [reference(b"late", name="late")]}),
            ("/finish", {"outcome": "failed"}),
            ("/finish", {"outcome": "succeeded", "exit_status": 1}),
            ("/finish", {"outcome": "succeeded", "parameters": {"late": True}}),
            ("/finish", {"outcome": "succeeded", "finished_at": "2026-11-22T10:00:00Z"}),
        ):
            assert_problem(await caller.post(step.url + url, json=body), 409, "step-finished")
        assert_problem(await caller.put(f"{step.url}/outputs/late", content=b"late"), 409, "step-finished")
        again = await caller.put(f"{step.url}/outputs/dist/x.whl", content=b"a wheel")
        assert_problem(again, 409, "step-finished")
    assert remains(service.folder / "data").changed(before) == set()
    return None


async def _refused_by_its_age(service: Service, step: OpenStep) -> None:
    async with service.client(step.token) as caller:
        answer = await caller.post(f"{step.url}/finish", json={"outcome": "succeeded"})
        assert_problem(answer, 401, "unauthenticated", hint=True)


async def test_a_step_that_finishes_during_an_upload_does_not_get_the_output(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"first half, "
        await finish(client, step)
        yield b"second half"

    answer = await client.put(f"{step.url}/outputs/late", content=slowly())
    assert_problem(answer, 409, "step-finished")
    left = remains(service.folder / "data")
    assert left.rows["step_output"] == frozenset()
    assert left.rows["receipt"] == frozenset()
    assert left.keys("staging/") == []


async def test_a_finish_repeated_gives_the_same_answer(service: Service, client: httpx2.AsyncClient) -> None:
    step = await built(service, client)
    before = remains(service.folder / "data")
    first = await client.post(f"{step.url}/finish", json={"outcome": "succeeded"})
    second = await client.post(f"{step.url}/finish", json={"outcome": "succeeded"})
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert await service.sign() == 0
    assert remains(service.folder / "data").changed(before) == set()
