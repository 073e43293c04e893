"""A run is joined only by who began it, whichever way somebody else of the project comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa

from artifacts.clock import to_milliseconds
from artifacts.queries import steps, tokens
from artifacts.queries.tokens import TokenRow
from artifacts.steps import Run
from tests.attacks.actors import an_id
from tests.attacks.raw import assert_problem
from tests.attacks.remains import query, remains
from tests.service import Service, sha256

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def colleague(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """Another token of the same project."""
    async with service.database.writing() as connection:
        row, at = TokenRow(an_id(), "default", "colleague"), to_milliseconds(service.clock.now())
        await tokens.add_token(connection, row, digest=tokens.hashed("cpt_colleague"), at=at)
    async with service.client("cpt_colleague") as made:
        yield made


def whole(id_: str, **members: object) -> dict[str, object]:
    return {"id": id_, "name": "intruder", "outcome": "succeeded", **members}


async def a_run(client: httpx2.AsyncClient) -> str:
    answer = await client.post("/v1/runs", json={"id": an_id()})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_nobody_else_gets_into_a_run_by_its_id(
    service: Service, client: httpx2.AsyncClient, colleague: httpx2.AsyncClient
) -> None:
    run = await a_run(client)
    before = remains(service.folder / "data")
    begun = {"name": "intruder", "token_sha256": sha256(b"own")}
    for path, body in (
        ("/v1/records", whole(run)),
        ("/v1/records", whole(an_id(), run=run)),
        ("/v1/steps", {**begun, "id": run}),
        ("/v1/steps", {**begun, "id": an_id(), "run": run}),
    ):
        refused = await colleague.post(path, json=body)
        assert_problem(refused, 409, "conflict", hint=True)
        assert "belongs to somebody else" in refused.text
    assert remains(service.folder / "data").changed(before) == set()
    # Who began it may.
    assert (await client.post("/v1/records", json=whole(run))).status_code == 201


async def test_who_began_a_run_begins_a_step_of_its_id(client: httpx2.AsyncClient) -> None:
    run = await a_run(client)
    body = {"id": run, "name": "own", "token_sha256": sha256(b"own")}
    for expected in (201, 200):
        answer = await client.post("/v1/steps", json=body)
        assert (answer.status_code, answer.json()["run"]) == (expected, run)


async def test_a_refused_intruder_holds_up_nobody_of_its_batch(
    service: Service, client: httpx2.AsyncClient, colleague: httpx2.AsyncClient
) -> None:
    runs = [await a_run(client) for _ in range(3)]
    others = [an_id() for _ in range(3)]
    sent = [colleague.post("/v1/records", json=whole(id_)) for id_ in (*runs, *others)]
    answers = await asyncio.gather(*sent)
    assert [answer.status_code for answer in answers] == [409, 409, 409, 201, 201, 201]
    recorded = query(service.folder / "data", "SELECT id FROM step")
    assert sorted(row[0] for row in recorded) == sorted(others)


async def held_up(service: Service) -> None:
    """Return when a transaction waits for another on PostgreSQL, which tells nobody of it."""
    for _ in range(1000):
        async with service.database.reading() as connection:
            if await connection.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_a_run_begun_at_the_same_moment_is_no_way_in(
    service: Service, colleague: httpx2.AsyncClient, index: str | None
) -> None:
    run = Run(an_id(), "default", "nightly", "token:owner", service.clock.now())
    async with service.database.writing() as connection:
        assert await steps.begin_run(connection, run, found_by=None)
        recording = asyncio.create_task(colleague.post("/v1/records", json=whole(run.id)))
        # SQLite has one writer: there the record waits before it has looked at anything.
        if index is not None:
            await held_up(service)
    assert_problem(await recording, 409, "conflict", hint=True)
    assert query(service.folder / "data", "SELECT count(*) FROM step") == [(0,)]
