"""Names of outputs are relative paths; whatever a name says, objects lie under their digests."""

from __future__ import annotations

import re
from urllib.parse import quote

import httpx2
import pytest

from api.app import create_app
from tests.attacks.actors import begin
from tests.attacks.raw import ask, assert_problem
from tests.attacks.remains import remains
from tests.service import Service, reference, sha256

TRICKS = [
    "..",
    ".",
    "../x",
    "a/../b",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "/a",
    "/etc/passwd",
    "//server/share",
    "\\a",
    "a\\..\\b",
    "C:\\x",
    "a/\\../b",
    "\x00",
    "a\x00.txt",
    "a\nb",
    "a\r\nX-Evil: 1",
    "\x1b]0;x\x07",
    "\x7f",
    "\x9b31m",
    "a\u202eexe.txt",
    "a\u2066b",
    "a\u2028b",
    "../" * 200 + "etc/passwd",
]
KEY = re.compile(
    r"projects/default/(blobs|receipts/api|receipts/worker)/sha256/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{64}(\.json)?"
    r"|projects/default/records/\d{4}/\d\d/[0-9A-Z]{26}-[0-9a-f]{64}\.ndjson|attestations/sha256/[0-9a-f]{64}\.json"
)


@pytest.mark.parametrize("name", TRICKS, ids=range(len(TRICKS)))
async def test_a_name_with_tricks_is_refused_however_it_is_sent(
    service: Service, client: httpx2.AsyncClient, name: str
) -> None:
    step = await begin(client)
    outside = {path for path in service.folder.rglob("*") if path.is_file()}
    before = remains(service.folder / "data")
    app = create_app(service.parts)
    # A line break is part of no path that any route knows.
    status, slug = (404, "not-found") if "\n" in name else (422, "invalid-input")
    plain = await ask(app, "PUT", f"{step.url}/outputs/{name}", body=[b"content"])
    assert_problem(plain, status, slug)
    encoded = await client.put(f"{step.url}/outputs/{quote(name, safe='').replace('.', '%2e')}", content=b"x")
    assert_problem(encoded, status, slug)
    product = reference(b"content", name=name)
    for url, body in (
        (f"{step.url}/outputs", {"outputs": [product]}),
        (f"{step.url}/outputs", {"outputs": [{**product, "role": "byproduct"}]}),
        ("/v1/records", {"name": "x", "outcome": "succeeded", "outputs": [product]}),
        ("/v1/records", {"name": "x", "outcome": "succeeded", "byproducts": [product]}),
    ):
        assert_problem(await client.post(url, json=body), 422, "invalid-input")
    assert remains(service.folder / "data").changed(before) == set()
    assert {path for path in service.folder.rglob("*") if path.is_file()} == outside


@pytest.mark.parametrize("length", [1025, 100_000])
async def test_a_long_name_is_refused(service: Service, client: httpx2.AsyncClient, length: int) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    app = create_app(service.parts)
    answer = await ask(app, "PUT", f"{step.url}/outputs/{'n' * length}", body=[b"content"])
    told = assert_problem(answer, 413, "limit-exceeded")
    assert len(str(told)) < 2000
    body = {"outputs": [reference(b"content", name="n" * length)]}
    assert_problem(await client.post(f"{step.url}/outputs", json=body), 413, "limit-exceeded")
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize(
    "name", ["%2e%2e/x", "..%2f..", "...", "..x", "~", "~root/x", "$HOME", "`id`", "-rf"]
)
async def test_a_name_that_only_looks_like_a_trick_is_just_a_name(
    service: Service, client: httpx2.AsyncClient, name: str
) -> None:
    step = await begin(client)
    answer = await ask(create_app(service.parts), "PUT", f"{step.url}/outputs/{name}", body=[b"content"])
    assert answer.status == 201
    assert answer.json()["name"] == name
    left = remains(service.folder / "data")
    hex_digest = sha256(b"content")
    sharded = f"sha256/{hex_digest[:2]}/{hex_digest[2:4]}/{hex_digest}"
    assert set(left.objects) == {
        f"projects/default/blobs/{sharded}",
        f"projects/default/receipts/api/{sharded}.json",
    }
    assert all(KEY.fullmatch(key) for key in left.objects)


@pytest.mark.parametrize("role", ["input", "source", "", "OUTPUT", "output&role=byproduct2"])
async def test_an_output_has_one_of_two_roles(client: httpx2.AsyncClient, role: str) -> None:
    step = await begin(client)
    answer = await client.put(f"{step.url}/outputs/x?role={role}", content=b"content")
    assert_problem(answer, 422, "invalid-input")
    body = {"outputs": [reference(b"content", name="x", role=role)]}
    assert_problem(await client.post(f"{step.url}/outputs", json=body), 422, "invalid-input")
