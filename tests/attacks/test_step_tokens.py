"""A step token adds to its own open step, or finishes it, and does nothing else anywhere."""

from __future__ import annotations

import re

import httpx2
import pytest

from api.app import create_app
from tests.attacks.actors import an_id, begin, built, finish
from tests.attacks.raw import assert_problem
from tests.attacks.remains import files_with, remains
from tests.service import TOKENS, Service, reference, sha256

pytestmark = pytest.mark.both_databases

OPEN = {
    "/healthz",
    "/readyz",
    "/.well-known/custody/keys.json",
    "/builders/local/v1",
    "/buildtypes/step/v1",
    "/predicates/record/v1",
    "/predicates/tombstone/v1",
    "/predicates/hold/v1",
    "/problems",
}
SENDS = {
    ("POST", "/v1/blobs/missing"): 422,
    ("POST", "/v1/blobs/uploads"): 201,
    ("GET", "/v1/blobs/uploads/{upload_id}"): 404,
    ("PUT", "/v1/blobs/uploads/{upload_id}/parts/{number}"): 404,
    ("POST", "/v1/blobs/uploads/{upload_id}/complete"): 404,
    ("POST", "/v1/trees/missing"): 422,
    ("PUT", "/v1/trees/{digest}/manifest"): 415,
    ("GET", "/v1/trees/{digest}"): 404,
    ("POST", "/v1/trees/{digest}"): 404,
}
"""Where a step sends what its outputs are made of; test_step_uploads.py has what it may do there."""
OF_A_STEP = re.compile(r"/v1/steps/\{step_id\}.*")


def routes(service: Service) -> list[tuple[str, str]]:
    """Every (method, path) of the service, as its own OpenAPI document lists them."""
    document = create_app(service.parts).openapi()
    found = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]
    assert len(found) > 20
    return found


def filled(path: str, step: str) -> str:
    digest = f"sha256:{sha256(b'a wheel')}"
    named = {"step_id": step, "digest": digest, "name": "x", "number": "1", "upload_id": an_id()}
    for name, value in named.items():
        path = path.replace(f"{{{name}}}", value)
    return path


async def test_a_step_token_opens_no_other_door(service: Service, client: httpx2.AsyncClient) -> None:
    await built(service, client)
    mine, other = await begin(client), await begin(client)
    before = remains(service.folder / "data")
    async with service.client(mine.token) as caller:
        for method, path in routes(service):
            if path in OPEN or (method, path) in SENDS:
                continue
            target = other.id if OF_A_STEP.fullmatch(path) else mine.id
            answer = await caller.request(method, filled(path, target), json={})
            # Where the body is judged first the answer may say so, but never that it was done.
            assert answer.status_code in {403, 422}, (method, path, answer.text)
            if answer.status_code == 422:
                assert OF_A_STEP.fullmatch(path) or method == "POST", (method, path)
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_finished_step_sends_nothing(service: Service, client: httpx2.AsyncClient) -> None:
    mine, gone = await begin(client), await begin(client)
    async with service.client(gone.token) as caller:
        await finish(caller, gone)
        before = remains(service.folder / "data")
        for method, path in SENDS:
            body: dict[str, list[object]] = {"digests": []} if path.endswith("missing") else {"packs": []}
            answer = await caller.request(method, filled(path, gone.id), json=body)
            assert_problem(answer, 409, "step-finished", hint=True)
    assert remains(service.folder / "data").changed(before) == set()
    async with service.client(mine.token) as caller:
        for (method, path), status in SENDS.items():
            answer = await caller.request(method, filled(path, mine.id), json={})
            assert answer.status_code == status, (method, path, answer.text)


BODIES = {
    "/v1/runs": {"name": "mine"},
    "/v1/records": {"name": "mine", "outcome": "succeeded", "outputs": [reference(b"x", name="x")]},
    "/v1/artifacts": reference(b"x", uri="pkg:a/b@1"),
    "/v1/steps": {"id": an_id(), "token_sha256": sha256(b"t"), "name": "child"},
    "other/inputs": {"inputs": [reference(b"x")]},
    "other/outputs": {"outputs": [reference(b"x", name="x")]},
    "other/finish": {"outcome": "succeeded"},
}


@pytest.mark.parametrize("url", BODIES)
async def test_a_step_token_with_a_good_body_is_forbidden(
    service: Service, client: httpx2.AsyncClient, url: str
) -> None:
    mine, other = await begin(client), await begin(client)
    before = remains(service.folder / "data")
    async with service.client(mine.token) as caller:
        answer = await caller.post(url.replace("other", other.url), json=BODIES[url])
        assert_problem(answer, 403, "forbidden")
        assert_problem(await caller.put(f"{other.url}/outputs/x", content=b"x"), 403, "forbidden")
        assert_problem(await caller.get(other.url), 403, "forbidden")
        assert_problem(await caller.get("/v1/steps/" + an_id()), 403, "forbidden")
        assert (await caller.get(mine.url)).status_code == 200
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer  cpt_default",
        "Bearer cpt_defaul",
        "Bearer cpt_default ",
        "Bearer CPT_DEFAULT",
        "Basic Y3B0X2RlZmF1bHQ6",
        "cpt_default",
        "Bearer cpt_default,cpt_other",
        "Bearer " + sha256(b"cpt_default"),
        "Bearer ' OR 1=1 --",
        "Bearer %",
        "Bearer " + "x" * 100_000,
        "Bearer \xff\xfe",
    ],
)
async def test_a_token_nobody_issued_opens_nothing(
    service: Service, client: httpx2.AsyncClient, header: str | None
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    async with service.client(None) as caller:
        headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
        for method, path in routes(service):
            if path in OPEN:
                continue
            answer = await caller.request(method, filled(path, step.id), json={}, headers=headers)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert_problem(answer, 401, "unauthenticated", hint=True)
    assert remains(service.folder / "data").changed(before) == set()


async def test_the_hash_of_a_token_is_no_token(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    async with service.client(sha256(step.token.encode())) as caller:
        assert_problem(await caller.get(step.url), 401, "unauthenticated")
    secrets = [step.token.encode(), *(token.encode() for token in TOKENS.values())]
    assert files_with(service.folder, secrets) == []


async def test_a_step_token_ends_on_the_second(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client, expires_in=60)
    async with service.client(step.token) as caller:
        service.clock.advance(59.999)
        assert (await caller.put(f"{step.url}/outputs/x", content=b"x")).status_code == 201
        before = remains(service.folder / "data")
        service.clock.advance(0.001)
        for method, url in (("PUT", "/outputs/y"), ("POST", "/finish"), ("POST", "/inputs"), ("GET", "")):
            answer = await caller.request(method, step.url + url, json={"outcome": "succeeded"})
            told = assert_problem(answer, 401, "unauthenticated", hint=True)
            assert "expired" in told["detail"]
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_token_that_two_steps_claim_speaks_for_neither(
    service: Service, client: httpx2.AsyncClient
) -> None:
    """Whoever learns the hash of a token can lock its step out, and never speak or be spoken for."""
    step = await begin(client)
    body = {"id": an_id(), "token_sha256": sha256(step.token.encode()), "name": "squatter"}
    async with service.client(TOKENS["other"]) as neighbour:
        assert (await neighbour.post("/v1/steps", json=body)).status_code == 201
    before = remains(service.folder / "data")
    async with service.client(step.token) as caller:
        for url in (step.url, f"/v1/steps/{body['id']}"):
            assert_problem(await caller.put(f"{url}/outputs/x", content=b"x"), 401, "unauthenticated")
            assert_problem(await caller.get(url), 401, "unauthenticated")
    assert remains(service.folder / "data").changed(before) == set()
