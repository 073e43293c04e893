"""Nothing of one project is readable, countable or guessable from another (threats S17)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx2
import pytest

from api.app import create_app
from tests.attacks.actors import OpenStep, an_id, built, content_digest
from tests.attacks.raw import assert_problem
from tests.attacks.remains import query, remains
from tests.attacks.statements import labels_of, statement_of
from tests.service import TOKENS, Service, reference, sha256

pytestmark = pytest.mark.both_databases

SECRET = b"the wheel of project default"
COMMIT = sha256(b"commit")[:40]


@dataclass(frozen=True)
class Harvest:
    """Every id, digest and name of the victim that an attacker could have learned."""

    step: OpenStep
    run: str
    blob: str
    attestation: str
    record: str


async def harvest(service: Service, client: httpx2.AsyncClient) -> Harvest:
    step = await built(service, client, SECRET)
    await service.read_back()
    alias = {"digest": {"sha256": sha256(SECRET), "gitCommit": COMMIT}, "uri": "pkg:secret/x@1"}
    assert (await client.post("/v1/artifacts", json=alias)).status_code == 201
    page = (await client.get(step.url)).json()
    return Harvest(
        step, page["run"], f"sha256:{sha256(SECRET)}", page["attestations"][0]["digest"], page["record"]
    )


def scrubbed(answer: httpx2.Response, *ids: str) -> tuple[int, str, list[str]]:
    """An answer without what differs between any two requests."""
    text = re.sub(r'"trace_id":"[0-9a-f]{32}"', "", answer.text)
    for id_ in ids:
        text = text.replace(id_, "ID").replace(id_.partition(":")[2] or id_, "ID")
    return answer.status_code, text, sorted(answer.headers)


HEADERS: list[dict[str, str]] = [
    {},
    {"Range": "bytes=0-0"},
    {"Range": "bytes=-1"},
    {"Range": "bytes=999999-"},
    {"If-None-Match": "*"},
    {"If-None-Match": "{digest}"},
    {"If-None-Match": 'W/"{digest}"'},
    {"Idempotency-Key": "{unique}"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=range(len(HEADERS)))
async def test_what_a_neighbour_has_answers_like_what_nobody_has(
    service: Service, client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    theirs = await harvest(service, client)
    unknown = {
        "digest": "sha256:" + sha256(b"nobody"),
        "alias": "gitCommit:" + sha256(b"nobody")[:40],
        "step": an_id(),
    }
    document = create_app(service.parts).openapi()
    asked = 0
    async with service.client(TOKENS["other"]) as spy:
        for path, methods in document["paths"].items():
            if "{" not in path:
                continue
            # To store a manifest asks nothing: it stores the caller's own, whoever else has one.
            for method in set(methods) - ({"put"} if path.endswith("/manifest") else set()):
                for digest in (theirs.blob, theirs.attestation, theirs.record, f"gitCommit:{COMMIT}"):
                    nobody = unknown["alias" if digest.startswith("git") else "digest"]
                    answers = []
                    for step, named in ((theirs.step.id, digest), (unknown["step"], nobody)):
                        url = path.replace("{step_id}", step).replace("{digest}", named)
                        url = (
                            url.replace("{prefix}", "x").replace("{upload_id}", step).replace("{number}", "1")
                        )
                        # The log is one for all: its tiles are named by numbers, and this one is not there.
                        url = url.replace("{path}", "0/999")
                        fill = {"{digest}": f'"{named}"', "{unique}": an_id()}
                        sent = {k: _filled(v, fill) for k, v in headers.items()}
                        body = {"outcome": "succeeded"} if url.endswith("finish") else _body(url)
                        answer = await spy.request(
                            method.upper(),
                            url.replace("{name}", "x"),
                            json=body,
                            headers=sent,
                        )
                        answers.append(scrubbed(answer, step, named))
                    assert answers[0] == answers[1], (method, path)
                    assert answers[0][0] == 404, (method, path, answers[0])
                    asked += 1
    assert asked >= 30


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _body(url: str) -> dict[str, object]:
    if url.startswith("/v1/trees/"):
        return {"packs": []}
    if url.endswith("inputs"):
        return {"inputs": [reference(b"x")]}
    return {"outputs": [reference(b"x", name="x")]}


async def test_a_neighbours_bytes_are_missing_and_its_names_unknown(
    service: Service, client: httpx2.AsyncClient
) -> None:
    theirs = await harvest(service, client)
    nobody = "sha256:" + sha256(b"nobody")
    async with service.client(TOKENS["other"]) as spy:
        missing = await spy.post("/v1/blobs/missing", json={"digests": [theirs.blob, nobody]})
        assert missing.json() == {"missing": [theirs.blob, nobody]}
        for text in ("uri=pkg:secret/x@1", "name=dist/x.whl"):
            assert (await spy.get(f"/v1/artifacts?{text}")).json() == {"artifacts": []}
        for digest in (theirs.blob, theirs.record, nobody):
            found = await spy.get(f"/v1/attestations?subject={digest}")
            assert found.json() == {"attestations": []}


async def test_uploading_what_a_neighbour_has_looks_like_uploading_something_new(
    service: Service, client: httpx2.AsyncClient
) -> None:
    theirs = await harvest(service, client)
    async with service.client(TOKENS["other"]) as spy:
        headers = {"Content-Type": "text/plain", "Content-Digest": content_digest(SECRET)}
        known = await spy.post("/v1/blobs/uploads", content=SECRET, headers=headers)
        fresh = await spy.post("/v1/blobs/uploads", content=b"fresh", headers={"Content-Type": "text/plain"})
        assert (known.status_code, sorted(known.headers)) == (fresh.status_code, sorted(fresh.headers))
        assert known.status_code == 201
        # Without the bytes the digest is worth nothing.
        wrong = await spy.post("/v1/blobs/uploads", content=b"not the wheel", headers=headers)
        assert_problem(wrong, 422, "digest-mismatch")
        page = (await spy.get(f"/v1/artifacts/{theirs.blob}")).json()
    assert page["references"] == page["produced_by"] == page["attestations"] == []
    assert "gitCommit" not in page["aliases"]
    keys = remains(service.folder / "data").keys("projects/")
    blobs = [key for key in keys if "/blobs/" in key and sha256(SECRET) in key]
    assert sorted(key.split("/")[1] for key in blobs) == ["default", "other"]


async def test_claiming_a_neighbours_digest_proves_nothing(
    service: Service, client: httpx2.AsyncClient
) -> None:
    theirs = await harvest(service, client)
    claim = {
        "name": "thief",
        "outcome": "succeeded",
        "inputs": [reference(b"input", name="i")],
        "outputs": [reference(SECRET, name="mine.whl")],
    }
    async with service.client(TOKENS["other"]) as spy:
        step = (await spy.post("/v1/records", json=claim)).json()
        assert await service.sign() == 1
        assert_problem(await spy.get(f"/v1/blobs/{theirs.blob}"), 404, "not-found")
        page = (await spy.get(f"/v1/artifacts/{theirs.blob}")).json()
        assert page["stored"] is False
        (stated,) = (await spy.get(f"/v1/steps/{step['id']}")).json()["attestations"]
        bundle = await spy.get(stated["url"])
    assert labels_of(statement_of(bundle.content)) == {"reported"}


async def test_ids_may_be_the_same_without_meeting(service: Service, client: httpx2.AsyncClient) -> None:
    theirs = await harvest(service, client)
    before = query(service.folder / "data", "SELECT * FROM step WHERE project = 'default'")
    body = {"id": theirs.step.id, "token_sha256": sha256(b"own"), "name": "mine"}
    async with service.client(TOKENS["other"]) as spy:
        assert (await spy.post("/v1/steps", json=body)).status_code == 201
        assert (await spy.post("/v1/runs", json={"id": theirs.run, "name": "mine"})).status_code == 200
        assert (await spy.post(f"{theirs.step.url}/finish", json={"outcome": "failed"})).status_code == 202
        assert await service.sign() == 1
        page = (await spy.get(theirs.step.url)).json()
        assert page["project"] == "other"
        assert len(page["attestations"]) == 1
        assert page["attestations"][0]["digest"] != theirs.attestation
    assert query(service.folder / "data", "SELECT * FROM step WHERE project = 'default'") == before
