"""Many at once: one wins, the others learn the same, and the store agrees with the index."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.labour import Labourer
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.sealing import SIGN
from tests.attacks.actors import an_id, begin, finish
from tests.attacks.remains import query, remains
from tests.attacks.statements import statements
from tests.service import Service, reference, sha256

pytestmark = pytest.mark.both_databases

AT_ONCE = 64


async def together(asked: Iterable[Awaitable[httpx2.Response]]) -> list[httpx2.Response]:
    return list(await asyncio.gather(*asked))


def statuses(answers: Iterable[httpx2.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
async def test_the_same_bytes_from_everybody_are_stored_once(
    service: Service, client: httpx2.AsyncClient, size: int
) -> None:
    content = b"s" * size
    count = AT_ONCE if size < 10**6 else 8
    headers = {"Content-Type": "application/octet-stream"}
    answers = await together(
        client.post("/v1/blobs/uploads", content=content, headers=headers) for _ in range(count)
    )
    assert statuses(answers) == {201: 1, 200: count - 1}
    left = remains(service.folder / "data")
    assert left.objects[str(layout.blob("default", Digest.of(content)))] == sha256(content)
    assert len(left.keys("projects/default/blobs/")) == len(left.rows["receipt"]) == 1
    assert left.keys("staging/") == []


async def test_one_name_with_many_contents_has_one_winner(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(4):
        step = await begin(client)
        contents = [f"{step.id} {number}".encode() for number in range(AT_ONCE)]
        answers = await together(client.put(f"{step.url}/outputs/x", content=c) for c in contents)
        assert statuses(answers) == {201: 1, 409: AT_ONCE - 1}
        (winner,) = [a.json()["digest"]["sha256"] for a in answers if a.status_code == 201]
        await finish(client, step)
        await service.sign()
        (stated,) = (await client.get(step.url)).json()["attestations"]
        assert stated["predicate_type"] == "https://slsa.dev/provenance/v1"
        (statement,) = [s for s in statements(service.folder / "data") if step.id in str(s)]
        assert [subject["digest"]["sha256"] for subject in statement["subject"]] == [winner]


async def test_a_step_finished_by_everybody_is_sealed_once(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(4):
        step = await begin(client)
        outcomes = ["succeeded" if number % 2 else "failed" for number in range(AT_ONCE)]
        answers = await together(
            client.post(f"{step.url}/finish", json={"outcome": outcome}) for outcome in outcomes
        )
        (first,) = {a.json()["outcome"] for a in answers if a.status_code == 202}
        expected = {True: 202, False: 409}
        assert [a.status_code for a in answers] == [expected[outcome == first] for outcome in outcomes]
    await service.sign()
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == 4
    lines = sum(
        (service.folder / "data" / "objects" / key).read_bytes().count(b"\n")
        for key in left.keys("projects/default/records/")
    )
    assert lines == 4


async def test_the_same_record_from_everybody_is_one_step(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(4):
        body: dict[str, Any] = {"id": an_id(), "name": "x", "outcome": "succeeded"}  # Any: JSON
        bodies = [{**body, "outputs": [reference(b"%d" % (n % 4), name="x")]} for n in range(AT_ONCE)]
        answers = await together(client.post("/v1/records", json=one) for one in bodies)
        found = statuses(answers)
        assert found[201] == 1
        assert found[200] == AT_ONCE // 4 - 1
        assert found[409] == AT_ONCE - AT_ONCE // 4
    await service.sign()
    left = remains(service.folder / "data")
    assert len(left.rows["step"]) == len(left.rows["attestation"]) == len(left.rows["step_output"]) == 4
    # The refused contents were never recorded at all.
    assert len(left.rows["artifact"]) <= 4


async def test_one_idempotency_key_makes_one_run(service: Service, client: httpx2.AsyncClient) -> None:
    for number in range(4):
        headers = {"Idempotency-Key": f"key {number}"}
        answers = await together(client.post("/v1/runs", json={}, headers=headers) for _ in range(AT_ONCE))
        assert set(statuses(answers)) <= {200, 201}
        assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(remains(service.folder / "data").rows["run"]) == 4


async def test_an_output_and_the_finish_race_to_a_whole_record(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(8):
        step = await begin(client)
        puts = [client.put(f"{step.url}/outputs/o{n}", content=b"%d" % n) for n in range(16)]
        answers = await together([*puts, client.post(f"{step.url}/finish", json={"outcome": "failed"})])
        stored = {a.json()["name"] for a in answers[:-1] if a.status_code == 201}
        assert statuses(answers[:-1]) == Counter({201: len(stored), 409: 16 - len(stored)}) - Counter()
        await service.sign()
        (statement,) = [s for s in statements(service.folder / "data") if step.id in str(s)]
        sealed = {product["name"] for product in statement["predicate"]["record"]["outputs"]}
        assert sealed == stored


async def test_many_signers_on_one_queue_sign_each_step_once(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for _ in range(64):
        body = {"name": "x", "outcome": "succeeded", "outputs": [reference(b"x", name="x")]}
        assert (await client.post("/v1/records", json=body)).status_code == 201
    failures: list[object] = []

    def labourer(number: int) -> Labourer:
        note = lambda job, error: failures.append(error)  # noqa: E731  # two words, one use
        return Labourer(service.database, service.clock, SIGN, f"s{number}", service.attester.attest, note)

    async def drain(number: int) -> None:
        for _ in range(40):
            await labourer(number).round()

    await asyncio.gather(*(drain(number) for number in range(4)))
    assert failures == []
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == 64
    # Each statement is logged once, and nothing else is left to do.
    assert [row[2] for row in left.rows["queue"]] == ["log"] * 64


async def test_two_signers_with_the_same_job_leave_one_statement(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """The lease of the first ran out while it worked; both finish."""
    for _ in range(50):
        step = await begin(client)
        await finish(client, step)
        jobs: list[Job] = []
        for owner in ("slow", "fast"):
            async with service.database.writing() as connection:
                now = 1 << 50
                jobs += await queue.take(
                    connection, SIGN, owner=owner, now=now + len(jobs) * 10, lease_ms=1, limit=1
                )
        assert len(jobs) == 2
        await asyncio.gather(*(service.attester.attest(job) for job in jobs))
        assert len((await client.get(step.url)).json()["attestations"]) == 1
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == 50
    # Each statement is logged once, and nothing else is left to do.
    assert [row[2] for row in left.rows["queue"]] == ["log"] * 50


async def test_a_job_for_what_was_signed_long_ago_signs_and_logs_nothing_again(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    await finish(client, step)
    for _ in range(2):
        async with service.database.writing() as connection:
            await queue.enqueue(connection, [("default", SIGN, step.id)], available_at=0)
        async with service.database.writing() as connection:
            (job,) = await queue.take(connection, SIGN, owner="one", now=1 << 50, lease_ms=1, limit=1)
        await service.attester.attest(job)
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == 1
    assert [row[2] for row in left.rows["queue"]] == ["log"]


async def test_a_late_result_never_ends_somebody_elses_job(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """SQLite gives the number of a finished job to the next one; a stale lease must not match it."""
    first, second = await begin(client), await begin(client)
    await finish(client, first)
    async with service.database.writing() as connection:
        (stale,) = await queue.take(connection, SIGN, owner="slow", now=1 << 50, lease_ms=1, limit=1)
    async with service.database.writing() as connection:
        (current,) = await queue.take(connection, SIGN, owner="fast", now=(1 << 50) + 10, lease_ms=1, limit=1)
    await service.attester.attest(current)
    await finish(client, second)
    async with service.database.writing() as connection:
        await queue.take(connection, SIGN, owner="fast", now=1 << 51, lease_ms=1 << 40, limit=1)
    await service.attester.attest(stale)
    assert query(service.folder / "data", "SELECT topic FROM queue WHERE kind = 'sign'") == [(second.id,)]
    assert len(remains(service.folder / "data").rows["attestation"]) == 1


async def test_what_a_late_signer_saw_does_not_become_a_second_statement(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """Labels depend on what a signer saw, and when; the first decision stands, in index and store."""
    uploaded = await client.post(
        "/v1/blobs/uploads", content=b"an input", headers={"Content-Type": "text/plain"}
    )
    assert uploaded.status_code == 201
    step = await begin(client)
    body = {"inputs": [reference(b"an input", name="i")]}
    assert (await client.post(f"{step.url}/inputs", json=body)).status_code == 200
    await client.put(f"{step.url}/outputs/x", content=b"an output")
    await finish(client, step)
    jobs: list[Job] = []
    for owner in ("slow", "fast"):
        async with service.database.writing() as connection:
            now = (1 << 50) + len(jobs) * 10
            jobs += await queue.take(connection, SIGN, owner=owner, now=now, lease_ms=1, limit=1)
    await service.attester.attest(jobs[0])
    await service.read_back()
    await service.attester.attest(jobs[1])
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == len(left.keys("attestations/")) == 1
