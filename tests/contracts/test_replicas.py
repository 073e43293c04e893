"""Several api and signer processes on one PostgreSQL: one wins, all tell the same.

Each replica is a whole service with connections of its own over the same database and
store; nothing in memory is shared, so whatever they agree on they agree on in the database.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.parts import assemble
from artifacts.db import connect
from artifacts.labour import Labourer
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.sealing import SIGN
from artifacts.storage.directory import DirectoryStore
from tests.attacks.actors import OpenStep, an_id, begin, finish
from tests.attacks.remains import query, remains
from tests.attacks.statements import statements
from tests.postgres import Cluster
from tests.service import PUBLIC_URL, Service, a_service, reference, sha256

pytestmark = pytest.mark.slow
REPLICAS = 3
ROUNDS = 12
AT_ONCE = 12


@pytest.fixture
async def replicas(tmp_path: Path, postgres: Cluster) -> AsyncIterator[list[Service]]:
    """Services that share a database and a folder of objects."""
    name = postgres.migrated()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(a_service(tmp_path, index=postgres.url(name)))
        built = [first]
        for _ in range(REPLICAS - 1):
            database = connect(postgres.url(name))
            stack.push_async_callback(database.close)
            store = DirectoryStore(tmp_path / "data" / "objects")
            stack.callback(store.close)
            parts = assemble(
                public_url=PUBLIC_URL,
                hosts=first.parts.hosts,
                database=database,
                store=store,
                clock=first.clock,
            )
            built.append(dataclasses.replace(first, parts=parts, store=store))
        yield built
    postgres.drop(name)


@pytest.fixture
async def clients(replicas: list[Service]) -> AsyncIterator[list[httpx2.AsyncClient]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(one.client()) for one in replicas]


async def together(asked: Iterable[Awaitable[httpx2.Response]]) -> list[httpx2.Response]:
    answers = list(await asyncio.gather(*asked))
    assert {answer.status_code for answer in answers} <= {200, 201, 202, 409}, [a.text for a in answers]
    return answers


def statuses(answers: Iterable[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def sign_by_all(replicas: list[Service]) -> list[object]:
    """Let every replica's signer drain the queue at the same time; what went wrong."""
    failures: list[object] = []

    async def drain(number: int, one: Service) -> None:
        note = lambda job, error: failures.append(error)  # noqa: E731  # two words, one use
        labourer = Labourer(one.database, one.clock, SIGN, f"s{number}", one.attester.attest, note)
        while await labourer.round():
            pass

    await asyncio.gather(*(drain(number, one) for number, one in enumerate(replicas)))
    return failures


def assert_one_statement_each(service: Service, steps: int) -> None:
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == steps
    waiting = Counter(row[0] for row in query(service.folder / "data", "SELECT kind FROM queue"))
    # Each statement is to be logged once; bytes may still be waiting to be read back.
    assert waiting["log"] == steps
    assert waiting.keys() <= {"hash", "log"}


async def test_a_step_finished_at_all_replicas_is_sealed_once_as_all_were_told(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    told: dict[str, str] = {}
    for _ in range(ROUNDS):
        step = await begin(clients[0])
        outcomes = ["succeeded" if number % 2 else "failed" for number in range(AT_ONCE)]
        answers = await together(
            client.post(f"{step.url}/finish", json={"outcome": outcome})
            for client, outcome in zip(itertools.cycle(clients), outcomes, strict=False)
        )
        (first,) = {a.json()["outcome"] for a in answers if a.status_code == 202}
        expected = {True: 202, False: 409}
        assert [a.status_code for a in answers] == [expected[outcome == first] for outcome in outcomes]
        told[step.id] = first
    assert await sign_by_all(replicas) == []
    assert_one_statement_each(replicas[0], ROUNDS)
    found = query(replicas[0].folder / "data", "SELECT id, outcome FROM step")
    assert {row[0]: row[1] for row in found} == told


async def test_the_same_record_at_all_replicas_is_one_step(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    for _ in range(ROUNDS):
        body: dict[str, Any] = {"id": an_id(), "name": "x", "outcome": "succeeded"}  # Any: JSON
        bodies = [{**body, "outputs": [reference(b"%d" % (n % 3), name="x")]} for n in range(AT_ONCE)]
        answers = await together(
            client.post("/v1/records", json=one)
            for client, one in zip(itertools.cycle(clients), bodies, strict=False)
        )
        assert statuses(answers)[201] == 1
        assert statuses(answers)[409] == AT_ONCE - AT_ONCE // 3
    assert await sign_by_all(replicas) == []
    assert_one_statement_each(replicas[0], ROUNDS)


async def puts_around_a_finish(
    clients: list[httpx2.AsyncClient], step: OpenStep, before: int
) -> list[httpx2.Response]:
    """Put half of the outputs; when so many are answered, finish and put the rest; what the puts were told."""
    answered, due = itertools.count(1), asyncio.Event()
    if not before:
        due.set()

    async def put(client: httpx2.AsyncClient, number: int) -> httpx2.Response:
        if number >= AT_ONCE // 2:
            await due.wait()
        answer = await client.put(f"{step.url}/outputs/o{number}", content=b"%d" % number)
        if next(answered) >= before:
            due.set()
        return answer

    async def end() -> httpx2.Response:
        await due.wait()
        return await clients[-1].post(f"{step.url}/finish", json={"outcome": "failed"})

    puts = [
        put(client, number) for number, client in zip(range(AT_ONCE), itertools.cycle(clients), strict=False)
    ]
    return (await together([end(), *puts]))[1:]


async def test_what_was_acknowledged_before_a_finish_elsewhere_stands_in_the_record(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    told: Counter[int] = Counter()
    for number in range(ROUNDS):
        step = await begin(clients[0])
        answers = await puts_around_a_finish(clients, step, number % (AT_ONCE // 2 + 1))
        told += statuses(answers)
        stored = {a.json()["name"] for a in answers if a.status_code == 201}
        assert await sign_by_all(replicas) == []
        (statement,) = [s for s in statements(replicas[0].folder / "data") if step.id in str(s)]
        assert {one["name"] for one in statement["predicate"]["record"]["outputs"]} == stored
    assert told[201], "the finish was always first"
    assert told[409], "the finish was always last"


async def test_one_name_and_many_contents_at_all_replicas_have_one_winner(
    clients: list[httpx2.AsyncClient],
) -> None:
    for _ in range(ROUNDS):
        step = await begin(clients[0])
        answers = await together(
            client.put(f"{step.url}/outputs/x", content=b"%s %d" % (step.id.encode(), number))
            for number, client in zip(range(AT_ONCE), itertools.cycle(clients), strict=False)
        )
        assert statuses(answers) == {201: 1, 409: AT_ONCE - 1}


async def test_one_idempotency_key_at_all_replicas_makes_one_run(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    for number in range(ROUNDS):
        headers = {"Idempotency-Key": f"key {number}"}
        answers = await together(
            client.post("/v1/runs", json={}, headers=headers) for client in clients for _ in range(4)
        )
        assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(remains(replicas[0].folder / "data").rows["run"]) == ROUNDS


async def test_the_same_bytes_and_the_same_reference_at_all_replicas_are_kept_once(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    for number in range(ROUNDS):
        content = b"bytes %d" % number
        ref = reference(content, uri="https://example.com/x", name="x")
        uploads = [client.post("/v1/blobs/uploads", content=content, headers=headers) for client in clients]
        named = [client.post("/v1/artifacts", json=ref) for client in clients for _ in range(2)]
        answers = await together([*uploads, *named])
        assert statuses(answers[: len(uploads)]) == {201: 1, 200: len(uploads) - 1}
        assert statuses(answers[len(uploads) :]) == {201: 1, 200: len(named) - 1}
        page = (await clients[-1].get(f"/v1/artifacts/sha256:{sha256(content)}")).json()
        assert len(page["references"]) == 1
    left = remains(replicas[0].folder / "data")
    assert len(left.rows["artifact"]) == len(left.rows["receipt"]) == len(left.rows["reference"]) == ROUNDS
    assert len(left.keys("projects/default/blobs/")) == ROUNDS


async def test_two_signers_with_the_same_job_leave_one_statement(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    """The lease of the first ran out while it worked; both go on."""
    for _ in range(ROUNDS):
        step = await begin(clients[0])
        await finish(clients[1], step)
        jobs: list[Job] = []
        for number, one in enumerate(replicas):
            async with one.database.writing() as connection:
                now = (1 << 50) + number * 10
                jobs += await queue.take(connection, SIGN, owner=f"s{number}", now=now, lease_ms=1, limit=1)
        assert len(jobs) == REPLICAS
        await asyncio.gather(*(one.attester.attest(job) for one, job in zip(replicas, jobs, strict=True)))
        assert len((await clients[0].get(step.url)).json()["attestations"]) == 1
    assert_one_statement_each(replicas[0], ROUNDS)


async def test_signers_that_take_at_once_take_different_jobs(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    for _ in range(AT_ONCE * 2):
        await finish(clients[0], await begin(clients[0]))
    taken: list[int] = []

    async def take(one: Service, number: int) -> None:
        async with one.database.writing() as connection:
            jobs = await queue.take(
                connection, SIGN, owner=f"s{number}", now=1 << 50, lease_ms=1 << 40, limit=5
            )
            assert len(jobs) <= 5
            taken.extend(job.id for job in jobs)
            await asyncio.sleep(0.02)  # the others take while these are not committed yet

    await asyncio.gather(*(take(one, n) for one in replicas for n in range(3)))
    assert len(taken) == len(set(taken)) == AT_ONCE * 2


async def test_a_producer_and_its_consumer_recorded_at_once_are_linked(
    replicas: list[Service], clients: list[httpx2.AsyncClient]
) -> None:
    for number in range(ROUNDS * 2):
        content = b"handed on %d" % number
        made = {"id": an_id(), "name": "make", "outcome": "succeeded"}
        used = {"id": an_id(), "name": "use", "outcome": "succeeded"}
        first, second = sorted([made["id"], used["id"]])
        made["id"], used["id"] = first, second
        bodies = [
            {**made, "outputs": [reference(content, name="x")]},
            {**used, "inputs": [reference(content, name="x")]},
        ]
        await together(
            client.post("/v1/records", json=body) for client, body in zip(clients, bodies, strict=False)
        )
        found = query(replicas[0].folder / "data", "SELECT dep FROM step_dep WHERE step = ?", second)
        assert found == [(first,)]
