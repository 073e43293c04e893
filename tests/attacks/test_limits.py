"""Every limit answers with its own problem, and what passed it leaves nothing."""

from __future__ import annotations

import base64

import httpx2
import orjson
import pytest

from artifacts import limits
from tests.attacks.actors import an_id, begin
from tests.attacks.raw import assert_problem
from tests.attacks.remains import remains
from tests.service import Service, reference, sha256

LONG = limits.MAX_TEXT + 1


def record(**members: object) -> dict[str, object]:
    return {"name": "x", "outcome": "succeeded", **members}


def many(count: int) -> list[dict[str, object]]:
    return [{"digest": {"sha256": f"{n:064x}"}, "name": f"f{n}"} for n in range(count)]


TOO_MUCH: dict[str, tuple[dict[str, object], int, str]] = {
    "name": (record(name="n" * (limits.MAX_NAME + 1)), 413, "limit-exceeded"),
    "uri": (
        record(outputs=[reference(b"x", name="x", uri="pkg:" + "a" * limits.MAX_URI)]),
        413,
        "limit-exceeded",
    ),
    "arguments": (record(command=["x"] * (limits.MAX_COMMAND + 1)), 413, "limit-exceeded"),
    "parameter": (record(parameters={"x": "p" * LONG}), 413, "limit-exceeded"),
    "environment": (record(environment={"x": "p" * LONG}), 413, "limit-exceeded"),
    "parameters": (
        record(parameters={f"p{n}": n for n in range(limits.MAX_MEMBERS + 1)}),
        413,
        "limit-exceeded",
    ),
    "all parameters": (record(parameters={f"p{n}": "p" * 65_000 for n in range(17)}), 413, "limit-exceeded"),
    "annotations": (
        record(inputs=[reference(b"x", annotations={f"a{n}": n for n in range(limits.MAX_MEMBERS + 1)})]),
        413,
        "limit-exceeded",
    ),
    "annotation": (record(inputs=[reference(b"x", annotations={"a": "p" * LONG})]), 413, "limit-exceeded"),
    "inputs": (record(inputs=many(limits.MAX_INPUTS + 1)), 422, "invalid-input"),
    "outputs": (record(outputs=many(limits.MAX_OUTPUTS + 1)), 422, "invalid-input"),
    "byproducts": (record(byproducts=many(limits.MAX_OUTPUTS + 1)), 422, "invalid-input"),
    "exit status": (record(exit_status=2**40), 422, "invalid-input"),
    "negative exit status": (record(exit_status=-(2**40)), 422, "invalid-input"),
    "began_at": (record(began_at="yesterday"), 422, "invalid-input"),
    "finished_at": (record(finished_at="2026-11-22T10:00:00+01:00"), 422, "invalid-input"),
    "digits of another script": (record(finished_at="\uff12026-11-22T10:00:00Z"), 422, "invalid-input"),
    "outcome": (record(outcome="excellent"), 422, "invalid-input"),
    "float": (record(parameters={"x": 1.5}), 422, "invalid-input"),
    "reserved annotation": (
        record(outputs=[reference(b"x", name="x", annotations={"custody_integrity": "verified"})]),
        422,
        "invalid-input",
    ),
    "received": (record(outputs=[reference(b"x", name="x", received=True)]), 422, "invalid-input"),
    "size": (record(outputs=[reference(b"x", name="x", size=1)]), 422, "invalid-input"),
    "via": (record(via="step"), 422, "invalid-input"),
    "principal": (record(principal="token:root"), 422, "invalid-input"),
    "project": (record(project="other"), 422, "invalid-input"),
    "two outputs of a name": (
        record(outputs=[reference(b"x", name="x"), reference(b"y", name="x")]),
        422,
        "invalid-input",
    ),
}


@pytest.mark.parametrize("case", TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_a_record_beyond_a_limit_is_refused_and_leaves_nothing(
    service: Service, client: httpx2.AsyncClient, case: tuple[dict[str, object], int, str]
) -> None:
    body, status, slug = case
    before = remains(service.folder / "data")
    assert_problem(await client.post("/v1/records", json=body), status, slug)
    assert remains(service.folder / "data").changed(before) == set()


STEP = ("name", "arguments", "parameter", "environment", "parameters", "all parameters", "float")


@pytest.mark.parametrize("case", STEP)
async def test_a_step_beyond_a_limit_does_not_begin(
    service: Service, client: httpx2.AsyncClient, case: str
) -> None:
    body, status, slug = TOO_MUCH[case]
    before = remains(service.folder / "data")
    begun = {**body, "id": an_id(), "token_sha256": sha256(b"t")}
    del begun["outcome"]
    assert_problem(await client.post("/v1/steps", json=begun), status, slug)
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize("seconds", [0, -1, 86_401, 2**53, "60", 1.5, True])
async def test_a_step_lives_no_longer_than_a_day(
    service: Service, client: httpx2.AsyncClient, seconds: object
) -> None:
    body = {"id": an_id(), "token_sha256": sha256(b"t"), "name": "x", "expires_in": seconds}
    assert_problem(await client.post("/v1/steps", json=body), 422, "invalid-input")
    assert remains(service.folder / "data").rows["step"] == frozenset()


@pytest.mark.parametrize(
    "query", ["wait=31", "wait=-1", "wait=nan", "wait=inf", "wait=x", "wait=1e400", "wait="]
)
async def test_nobody_waits_longer_than_half_a_minute(client: httpx2.AsyncClient, query: str) -> None:
    step = await begin(client)
    answer = await client.post(f"{step.url}/finish?{query}", json={"outcome": "succeeded"})
    assert_problem(answer, 422, "invalid-input")
    assert (await client.get(step.url)).json()["state"] == "open"


def cursor(*members: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(members)).decode()


@pytest.mark.parametrize(
    "query",
    [
        "uri=x&limit=0",
        "uri=x&limit=1001",
        "uri=x&limit=99999999999999999999999",
        "uri=x&cursor=!",
        "uri=x&cursor=%00",
        "uri=x&cursor=AAAA",
        f"uri=x&cursor={cursor()}",
        f"uri=x&cursor={cursor(1, 2, 3, 4, 5)}",
        f"uri=x&cursor={cursor(10**18 * 18, '00' * 32, '', '')}",
        f"uri=x&cursor={cursor('9' * 30, '00' * 32, '', '')}",
        f"uri=x&cursor={cursor(-1e300, '00' * 32, '', '')}",
        f"uri=x&cursor={cursor('9' * 5000, '00' * 32, '', '')}",
        f"uri=x&cursor={cursor(1, 'zz', '', '')}",
        f"uri=x&cursor={cursor(1, None, '', '')}",
        "uri=x&cursor=%F0%9F%92%A9",
        "uri=x&other=1",
        "",
    ],
)
async def test_a_page_that_cannot_be_is_refused(client: httpx2.AsyncClient, query: str) -> None:
    assert_problem(await client.get(f"/v1/artifacts?{query}"), 422, "invalid-input")


@pytest.mark.parametrize("query", ["depth=0", "depth=101", "depth=-1", "depth=x", "direction=sideways"])
async def test_a_lineage_has_bounds(client: httpx2.AsyncClient, query: str) -> None:
    digest = f"sha256:{sha256(b'x')}"
    await client.post("/v1/blobs/uploads", content=b"x", headers={"Content-Type": "text/plain"})
    assert_problem(await client.get(f"/v1/artifacts/{digest}/lineage?{query}"), 422, "invalid-input")


async def test_a_request_names_a_thousand_things_at_most(client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    refs = many(limits.MAX_MEMBERS + 1)
    digests = [f"sha256:{n:064x}" for n in range(limits.MAX_MEMBERS + 1)]
    for url, body in (
        (f"{step.url}/inputs", {"inputs": refs}),
        (f"{step.url}/outputs", {"outputs": refs}),
        ("/v1/blobs/missing", {"digests": digests}),
    ):
        assert_problem(await client.post(url, json=body), 422, "invalid-input")


async def test_a_step_has_ten_thousand_inputs_and_a_thousand_outputs_at_most(
    service: Service, client: httpx2.AsyncClient
) -> None:
    step = await begin(client)
    refs = many(limits.MAX_INPUTS + 1)
    for start in range(0, limits.MAX_INPUTS, 1000):
        body: dict[str, object] = {"inputs": refs[start : start + 1000]}
        assert (await client.post(f"{step.url}/inputs", json=body)).status_code == 200
    body = {"outputs": refs[: limits.MAX_OUTPUTS]}
    assert (await client.post(f"{step.url}/outputs", json=body)).status_code == 200
    before = remains(service.folder / "data")
    over = await client.post(f"{step.url}/inputs", json={"inputs": refs[-1:]})
    assert_problem(over, 413, "limit-exceeded", hint=True)
    over = await client.post(f"{step.url}/outputs", json={"outputs": refs[-1:]})
    assert_problem(over, 413, "limit-exceeded", hint=True)
    assert remains(service.folder / "data").rows == before.rows


async def test_what_a_step_was_allowed_to_record_can_always_be_sealed(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """Inputs near every limit at once: recording may be refused, finishing may not."""
    step = await begin(
        client, command=["c" * 1000] * 1000, environment={f"e{n}": "v" * 60_000 for n in range(10)}
    )
    refused = 0
    for batch in range(10):
        refs = [
            {"digest": {"sha256": f"{n:064x}"}, "uri": "pkg:" + "a" * 3500, "name": f"f{n}"}
            for n in range(batch * 1000, batch * 1000 + 1000)
        ]
        answer = await client.post(f"{step.url}/inputs", json={"inputs": refs})
        refused += answer.status_code == 413
        assert answer.status_code in {200, 413}
    assert refused
    assert (await client.post(f"{step.url}/finish", json={"outcome": "succeeded"})).status_code == 202
    assert await service.sign() == 1
    assert (await client.get(step.url)).json()["state"] == "signed"
