"""What a name or digest stands for never changes (promise 1)."""

from __future__ import annotations

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from tests.attacks.actors import an_id, begin, built, content_digest, put
from tests.attacks.raw import assert_problem
from tests.attacks.remains import query, remains
from tests.service import TOKENS, Service, reference, sha256

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize("role", ["output", "byproduct"])
async def test_a_second_digest_under_a_name_is_refused(
    service: Service, client: httpx2.AsyncClient, role: str
) -> None:
    step = await begin(client)
    first = await client.put(f"{step.url}/outputs/x?role={role}", content=b"first")
    assert first.status_code == 201
    rows = remains(service.folder / "data").rows
    second = await client.put(f"{step.url}/outputs/x?role={role}", content=b"second")
    assert_problem(second, 409, "conflict", hint=True)
    body = {"outputs": [reference(b"third", name="x", role=role)]}
    assert_problem(await client.post(f"{step.url}/outputs", json=body), 409, "conflict", hint=True)
    mixed = {"outputs": [reference(b"new", name="new", role=role), *body["outputs"]]}
    assert_problem(await client.post(f"{step.url}/outputs", json=mixed), 409, "conflict", hint=True)
    # The refused bytes may lie in the store without a row; nothing leads to them.
    assert remains(service.folder / "data").rows == rows
    missing = await client.post("/v1/blobs/missing", json={"digests": [f"sha256:{sha256(b'second')}"]})
    assert missing.json()["missing"] == [f"sha256:{sha256(b'second')}"]


async def test_other_bytes_than_declared_leave_nothing(service: Service, client: httpx2.AsyncClient) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    headers = {"Content-Digest": content_digest(b"declared")}
    for content in (b"", b"Declared", b"declared\n", b"x" * 3_000_000):
        for method, url in (("PUT", f"{step.url}/outputs/x"), ("POST", "/v1/blobs/uploads")):
            answer = await client.request(method, url, content=content, headers=headers)
            told = assert_problem(answer, 422, "digest-mismatch", hint=True)
            assert told["arrived"] == f"sha256:{sha256(content)}"
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_record_with_a_known_id_and_other_content_leaves_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    body = {"id": an_id(), "name": "x", "outcome": "succeeded", "outputs": [reference(b"1", name="x")]}
    assert (await client.post("/v1/records", json=body)).status_code == 201
    before = remains(service.folder / "data")
    for change in (
        {"outputs": [reference(b"2", name="x", uri="pkg:a/b@2")]},
        {"inputs": [reference(b"3", uri="pkg:a/b@3")]},
        {"outcome": "failed"},
        {"name": "y"},
        {"parameters": {"x": 1}},
    ):
        answer = await client.post("/v1/records", json={**body, **change})
        assert answer.status_code == 409, (change, answer.text)
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_step_begun_again_otherwise_is_refused(service: Service, client: httpx2.AsyncClient) -> None:
    body = {"id": an_id(), "token_sha256": sha256(b"t"), "name": "x", "expires_in": 60}
    assert (await client.post("/v1/steps", json=body)).status_code == 201
    before = remains(service.folder / "data")
    for change in (
        {"token_sha256": sha256(b"u")},
        {"name": "y"},
        {"command": ["rm"]},
        {"parameters": {"x": 1}},
        {"source": reference(b"s", uri="git+https://x/y")},
    ):
        answer = await client.post("/v1/steps", json={**body, **change})
        assert_problem(answer, 409, "conflict")
    assert (await client.post("/v1/steps", json=body)).status_code == 200
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_run_of_another_principal_is_not_joined(service: Service, client: httpx2.AsyncClient) -> None:
    from artifacts.queries import tokens
    from artifacts.queries.tokens import TokenRow

    async with service.database.writing() as connection:
        row = TokenRow(an_id(), "default", "colleague")
        await tokens.add_token(connection, row, digest=tokens.hashed("cpt_colleague"), at=0)
    run = (await client.post("/v1/runs", json={"name": "release"})).json()["id"]
    step = await begin(client, run=run)
    before = remains(service.folder / "data")
    begun = {"id": an_id(), "token_sha256": sha256(b"t"), "name": "x", "run": run}
    async with service.client("cpt_colleague") as colleague:
        for url, body in (
            ("/v1/runs", {"name": "release"}),
            ("/v1/runs", {"id": run}),
            ("/v1/steps", begun),
            ("/v1/records", {"name": "x", "outcome": "succeeded", "run": run}),
            ("/v1/steps", {**begun, "id": step.id}),
        ):
            assert_problem(await colleague.post(url, json=body), 409, "conflict")
        for url, body in (
            ("/inputs", {"inputs": [reference(b"x")]}),
            ("/outputs", {"outputs": [reference(b"x", name="x")]}),
            ("/finish", {"outcome": "succeeded"}),
        ):
            assert_problem(await colleague.post(step.url + url, json=body), 403, "forbidden")
        assert_problem(await colleague.put(f"{step.url}/outputs/x", content=b"x"), 403, "forbidden")
        # One project is one world: what it holds may be read.
        assert (await colleague.get(step.url)).status_code == 200
    assert remains(service.folder / "data").changed(before) == set()
    async with service.client(TOKENS["other"]) as neighbour:
        assert_problem(await neighbour.post("/v1/steps", json=begun), 404, "not-found")


async def test_bytes_changed_in_the_store_are_never_served_whole(
    service: Service, client: httpx2.AsyncClient
) -> None:
    content = b"x" * 2_500_000
    step = await begin(client)
    digest = await put(client, step, "x", content)
    path = service.folder / "data" / "objects" / str(layout.blob("default", Digest.parse(digest)))
    path.chmod(0o600)
    for offset in (0, 1_300_000, len(content) - 1):
        damaged = bytearray(content)
        damaged[offset] ^= 1
        path.write_bytes(damaged)
        got = b""
        try:
            async with client.stream("GET", f"/v1/blobs/{digest}") as answer:
                async for piece in answer.aiter_bytes():
                    got += piece
        except httpx2.HTTPError:
            pass
        assert len(got) < len(content)
    assert query(service.folder / "data", "SELECT count(*) FROM attestation") == [(0,)]


async def test_a_damaged_attestation_is_not_served(service: Service, client: httpx2.AsyncClient) -> None:
    step = await built(service, client)
    stated = (await client.get(step.url)).json()["attestations"][0]
    path = service.folder / "data" / "objects" / str(layout.attestation(Digest.parse(stated["digest"])))
    good = path.read_bytes()
    path.chmod(0o600)
    for damaged in (good[:-1], good + b" ", b"", good.replace(b"a", b"b", 1)):
        path.write_bytes(damaged)
        assert_problem(await client.get(stated["url"]), 500, "corrupted")
    path.write_bytes(good)
    assert (await client.get(stated["url"])).content == good
