"""Digests that are unknown, malformed or missing name nothing and leave nothing."""

from __future__ import annotations

from urllib.parse import quote

import httpx2
import pytest

from tests.attacks.actors import begin
from tests.attacks.raw import assert_problem
from tests.attacks.remains import remains
from tests.service import Service, sha256

HEX = sha256(b"some content")
SHAPES = [
    "",
    ":",
    "sha256",
    "sha256:",
    HEX,
    f":{HEX}",
    f"sha256:{HEX[:-1]}",
    f"sha256:{HEX}0",
    f"sha256:{HEX.upper()}",
    f"SHA256:{HEX}",
    f"Sha256:{HEX}",
    f"sha-256:{HEX}",
    f"sha256 :{HEX}",
    f" sha256:{HEX}",
    f"sha256:{HEX} ",
    f"sha256: {HEX[1:]}",
    f"sha256:{HEX}\n",
    f"sha256:\n{HEX[1:]}",
    f"sha256:0x{HEX[2:]}",
    f"sha256::{HEX[1:]}",
    f"sha256:{HEX[:32]}:{HEX[33:]}",
    f"sha256:{'g' * 64}",
    "sha256:" + "\uff10" * 64,
    "sha256:" + "\u0660" * 64,
    f"sha256:{HEX[:-1]}\u200b",
    f"sha256:{HEX[:-1]}\x00",
    f"sha256:{HEX[:-2]}..",
    f"sha256:../{HEX[3:]}",
    f"sha256:%{HEX[1:]}",
    f"sha256:{HEX}{HEX}",
    f"sha256={HEX}",
    f"sha1:{HEX[:40]}",
    f"md5:{HEX[:32]}",
    f"sha224:{HEX[:56]}",
    f"blake3:{HEX}",
    f"sha512:{HEX}",
    f"sha384:{HEX}",
    f"gitCommit:{HEX[:39]}",
    f"gitcommit:{HEX[:40]}",
    f"gitCommit:{HEX[:41]}",
    f"git:{HEX[:40]}",
    "sha256:" + "0" * 100_000,
    "a" * 100_000,
]


@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
async def test_a_malformed_digest_is_refused_on_every_route(
    service: Service, client: httpx2.AsyncClient, shape: str
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    algorithm, _, value = shape.partition(":")
    reference = {"uri": "pkg:pypi/x@1", "name": "x", "digest": {algorithm: value}}
    for url, body in (
        ("/v1/blobs/missing", {"digests": [shape]}),
        ("/v1/artifacts", reference),
        (f"{step.url}/inputs", {"inputs": [reference]}),
        (f"{step.url}/outputs", {"outputs": [reference]}),
        ("/v1/records", {"name": "x", "outcome": "succeeded", "inputs": [reference]}),
        ("/v1/records", {"name": "x", "outcome": "succeeded", "outputs": [reference]}),
        ("/v1/records", {"name": "x", "outcome": "succeeded", "source": reference}),
    ):
        told = assert_problem(await client.post(url, json=body), 422, "invalid-digest")
        assert len(str(told)) < 2000
    if shape and len(shape) < 1000 and "/" not in shape:
        path = quote(shape, safe="")
        for url in (
            f"/v1/blobs/{path}",
            f"/v1/artifacts/{path}",
            f"/v1/artifacts/{path}/lineage",
            f"/v1/artifacts/{path}/attestations",
            f"/v1/attestations/{path}",
            f"/v1/attestations?subject={path}",
        ):
            assert_problem(await client.get(url), 422, "invalid-digest")
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize("reference", [{"uri": "pkg:a/b@1"}, {"uri": "pkg:a/b@1", "digest": None}])
async def test_a_uri_without_a_digest_is_refused(
    service: Service, client: httpx2.AsyncClient, reference: dict[str, object]
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    assert_problem(await client.post("/v1/artifacts", json=reference), 422, "invalid-input")
    assert_problem(
        await client.post(f"{step.url}/inputs", json={"inputs": [reference]}), 422, "invalid-input"
    )
    empty = {**reference, "digest": {}}
    told = assert_problem(await client.post("/v1/artifacts", json=empty), 422, "invalid-digest", hint=True)
    assert "digest" in told["detail"]
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize(
    "field",
    [
        "",
        "sha-256",
        "sha-256=::",
        "sha-256=:AAAA:",
        f"sha-256={HEX}",
        f"sha-256=:{HEX}:",
        "sha-512=:" + "A" * 86 + "==:",
        "md5=:AAAAAAAAAAAAAAAAAAAAAA==:",
        "sha-256=:" + "A" * 43 + ":",
        "sha-256=:" + "A" * 43 + "==:",
        "sha-256=:" + "=" * 44 + ":",
        "xsha-256=:" + "A" * 43 + "=:",
        "sha-256=:" + "A" * 100_000 + ":",
    ],
    ids=range(13),
)
async def test_a_malformed_content_digest_is_refused_before_anything_is_kept(
    service: Service, client: httpx2.AsyncClient, field: str
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    headers = {"Content-Digest": field, "Content-Type": "text/plain"}
    for method, url in (("PUT", f"{step.url}/outputs/x"), ("POST", "/v1/blobs/uploads")):
        answer = await client.request(method, url, content=b"content", headers=headers)
        assert_problem(answer, 422, "invalid-digest", hint=True)
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_digest_nobody_recorded_is_not_found(client: httpx2.AsyncClient) -> None:
    for digest in (f"sha256:{HEX}", f"gitCommit:{HEX[:40]}", f"sha512:{HEX}{HEX}"):
        for url in (f"/v1/blobs/{digest}", f"/v1/artifacts/{digest}", f"/v1/artifacts/{digest}/lineage"):
            assert_problem(await client.get(url), 404, "not-found")
