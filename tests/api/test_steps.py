"""The main path of a step: begin, add, upload, finish, signed."""

from __future__ import annotations

import asyncio
import hashlib

import httpx2
import pytest

from artifacts.identifiers import new_ulid
from tests.service import Service, reference, sha256

pytestmark = pytest.mark.both_databases

SECRET = "cst_of-this-step"


def beginning(service: Service, **members: object) -> dict[str, object]:
    """The body that begins a step."""
    return {
        "id": new_ulid(service.clock.now()),
        "name": "build",
        "token_sha256": hashlib.sha256(SECRET.encode()).hexdigest(),
        **members,
    }


async def test_a_step_is_begun_filled_finished_and_signed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(
        service, command=["make", "dist"], parameters={"release": True}, environment={"CI": "true"}
    )
    begun = await client.post("/v1/steps", json=body)
    assert begun.status_code == 201, begun.text
    step = f"/v1/steps/{body['id']}"

    async with service.client(SECRET) as mine:
        inputs = [reference(b"lock", uri="pkg:pypi/flask@3.1.0", name="flask")]
        assert (await mine.post(f"{step}/inputs", json={"inputs": inputs})).json() == {
            "recorded": 1,
            "known": 0,
        }
        sent = await mine.put(f"{step}/outputs/dist/app.whl", content=b"the wheel")
        assert sent.status_code == 201
        assert sent.json() == {"name": "dist/app.whl", "digest": {"sha256": sha256(b"the wheel")}, "size": 9}
        log = await mine.put(f"{step}/outputs/log?role=byproduct", content=b"it went well\n")
        assert log.status_code == 201
        finished = await mine.post(f"{step}/finish", json={"outcome": "succeeded", "exit_status": 0})
        assert finished.status_code == 202
        assert finished.json()["state"] == "sealed"
        assert await service.sign() == 1
        page = (await mine.get(step)).json()

    assert page["state"] == "signed"
    assert [entry["state"] for entry in page["ledger"]] == ["open", "sealed", "signed"]
    assert page["attestations"][0]["predicate_type"] == "https://slsa.dev/provenance/v1"


async def test_beginning_again_gives_the_same_step(service: Service, client: httpx2.AsyncClient) -> None:
    body = beginning(service)
    first = await client.post("/v1/steps", json=body)
    service.clock.advance(5)
    again = await client.post("/v1/steps", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()


@pytest.mark.parametrize("other", [{"name": "other"}, {"command": ["x"]}, {"token_sha256": "0" * 64}])
async def test_beginning_again_otherwise_is_a_conflict(
    service: Service, client: httpx2.AsyncClient, other: dict[str, object]
) -> None:
    body = beginning(service)
    await client.post("/v1/steps", json=body)
    answer = await client.post("/v1/steps", json=body | other)
    assert (answer.status_code, answer.json()["type"]) == (409, "http://custody.test/problems#conflict")


async def test_finishing_again_gives_the_same_answer_and_one_record(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(service)
    await client.post("/v1/steps", json=body)
    finish = f"/v1/steps/{body['id']}/finish"
    first = await client.post(finish, json={"outcome": "failed", "exit_status": 2})
    again = await client.post(finish, json={"outcome": "failed", "exit_status": 2})
    other = await client.post(finish, json={"outcome": "succeeded"})
    assert first.json()["record"] == again.json()["record"]
    assert other.status_code == 409
    assert other.json()["type"].endswith("#step-finished")
    assert len([one async for one in service.store.list("projects/default/records/")]) == 1


async def test_a_failed_step_is_signed_as_a_record_and_never_as_provenance(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(service)
    await client.post("/v1/steps", json=body)
    step = f"/v1/steps/{body['id']}"
    await client.put(f"{step}/outputs/half.o", content=b"half")
    await client.post(f"{step}/finish", json={"outcome": "failed"})
    await service.sign()
    page = (await client.get(step)).json()
    assert [one["predicate_type"] for one in page["attestations"]] == [
        "http://custody.test/predicates/record/v1"
    ]
    about = (await client.get(f"/v1/artifacts/sha256:{sha256(b'half')}/attestations")).json()
    assert about == {"attestations": []}
    record = (await client.get("/v1/attestations", params={"subject": page["record"]})).json()
    assert [one["step"] for one in record["attestations"]] == [body["id"]]


async def test_a_step_nobody_finished_is_sealed_as_unknown_when_its_token_expires(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(service, expires_in=60)
    await client.post("/v1/steps", json=body)
    service.clock.advance(61)
    await service.upkeep.tidy()
    await service.sign()
    page = (await client.get(f"/v1/steps/{body['id']}")).json()
    assert (page["outcome"], page["state"]) == ("unknown", "signed")
    async with service.client(SECRET) as mine:
        assert (await mine.get(f"/v1/steps/{body['id']}")).status_code == 401


async def test_parameters_of_begin_and_finish_are_joined_and_cannot_change(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(service, parameters={"lr": "0.001"})
    await client.post("/v1/steps", json=body)
    finish = f"/v1/steps/{body['id']}/finish"
    changed = await client.post(finish, json={"outcome": "succeeded", "parameters": {"lr": "0.1"}})
    assert (changed.status_code, changed.json()["parameter"]) == (422, "lr")
    assert (await client.get(f"/v1/steps/{body['id']}")).json()["state"] == "open"
    joined = await client.post(finish, json={"outcome": "succeeded", "parameters": {"epochs": 3}})
    assert joined.status_code == 202


async def test_a_run_is_found_by_name_and_joined_only_by_its_own(
    service: Service, client: httpx2.AsyncClient
) -> None:
    first = await client.post("/v1/runs", json={"name": "nightly"})
    found = await client.post("/v1/runs", json={"name": "nightly"})
    assert (first.status_code, found.status_code) == (201, 200)
    assert first.json() == found.json()
    joined = await client.post("/v1/steps", json=beginning(service, run=first.json()["id"]))
    assert joined.json()["run"] == first.json()["id"]
    missing = await client.post("/v1/steps", json=beginning(service, run=new_ulid(service.clock.now())))
    assert missing.status_code == 404


async def test_runs_without_a_name_are_each_their_own(service: Service, client: httpx2.AsyncClient) -> None:
    await client.post("/v1/steps", json=beginning(service))
    first, second = [(await client.post("/v1/runs", json={})) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    again = await client.post("/v1/runs", json={"id": first.json()["id"]})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


async def test_parameters_that_are_too_long_together_leave_nothing_of_a_record(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = {
        "id": new_ulid(service.clock.now()),
        "name": "train",
        "outcome": "succeeded",
        "parameters": {f"p{number}": "x" * 65_000 for number in range(20)},
    }
    assert (await client.post("/v1/records", json=body)).status_code == 413
    assert (await client.get(f"/v1/steps/{body['id']}")).status_code == 404


async def test_a_token_hash_that_two_steps_claim_opens_neither(
    service: Service, client: httpx2.AsyncClient
) -> None:
    bodies = [beginning(service), beginning(service)]
    for body in bodies:
        await client.post("/v1/steps", json=body)
    async with service.client(SECRET) as mine:
        assert (await mine.get(f"/v1/steps/{bodies[0]['id']}")).status_code == 401


async def test_a_whole_record_is_recorded_once(service: Service, client: httpx2.AsyncClient) -> None:
    body = {
        "id": new_ulid(service.clock.now()),
        "name": "train",
        "outcome": "succeeded",
        "parameters": {"epochs": 3},
        "source": reference(b"tree", uri="git+https://git.example/o/r@refs/heads/main"),
        "inputs": [reference(b"data", name="train.parquet")],
        "outputs": [reference(b"model", name="model.bin")],
        "byproducts": [reference(b"log", name="log")],
    }
    first = await client.post("/v1/records", json=body)
    again = await client.post("/v1/records", json=body)
    other = await client.post("/v1/records", json=body | {"outputs": []})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409), first.text
    assert first.json()["record"] == again.json()["record"]
    assert await service.sign() == 1


async def test_finish_waits_for_the_signature_when_asked(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = beginning(service)
    await client.post("/v1/steps", json=body)
    finishing = client.post(f"/v1/steps/{body['id']}/finish?wait=5", json={"outcome": "failed"})

    async def signing() -> None:
        for _ in range(500):
            if await service.sign():
                return
            await asyncio.sleep(0.01)

    answer, _ = await asyncio.gather(finishing, signing())
    assert (answer.status_code, answer.json()["state"]) == (200, "signed")
