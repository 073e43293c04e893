"""JSON that two parsers could read differently is refused before anything looks at it."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import httpx2
import pytest

from api.app import create_app
from artifacts.limits import MAX_JSON_BYTES
from tests.attacks.actors import begin
from tests.attacks.raw import ask, assert_problem
from tests.attacks.remains import remains
from tests.service import Service

pytestmark = pytest.mark.both_databases

TEXTS = {
    "empty": b"",
    "blank": b"  \n",
    "duplicate member": b'{"name":"a","name":"b"}',
    "same duplicate member": b'{"name":"a","name":"a"}',
    "escaped duplicate member": b'{"name":"a","n\\u0061me":"b"}',
    "nested duplicate member": b'{"name":"a","parameters":{"x":1,"x":2}}',
    "NaN": b'{"name":"a","parameters":{"x":NaN}}',
    "Infinity": b'{"name":"a","parameters":{"x":Infinity}}',
    "negative infinity": b'{"name":"a","parameters":{"x":-Infinity}}',
    "overflowing float": b'{"name":"a","parameters":{"x":1e999}}',
    "integer beyond 2^53": b'{"name":"a","parameters":{"x":9007199254740993}}',
    "integer of a million digits": b'{"name":"a","parameters":{"x":' + b"9" * 1_000_000 + b"}}",
    "lone high surrogate": b'{"name":"\\ud800"}',
    "lone low surrogate": b'{"name":"\\udfff a"}',
    "surrogate as a member": b'{"\\ud800":1}',
    "swapped surrogates": b'{"name":"\\udc00\\ud800"}',
    "not UTF-8": b'{"name":"\xff"}',
    "overlong UTF-8": b'{"name":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name":"a"}',
    "trailing comma": b'{"name":"a",}',
    "comment": b'{"name":"a"} // no',
    "two values": b'{"name":"a"}{"name":"b"}',
    "single quotes": b"{'name':'a'}",
    "bare control character": b'{"name":"a\x00"}',
    "octal": b'{"name":"a","parameters":{"x":010}}',
    "truncated": b'{"name":"a',
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep and unclosed": b"[" * 100_000,
    "65 levels": b'{"name":' + b"[" * 64 + b"]" * 64 + b"}",
}
ROUTES = (
    "/v1/runs",
    "/v1/steps",
    "/v1/records",
    "/v1/artifacts",
    "/v1/blobs/missing",
    "{step}/inputs",
    "{step}/outputs",
    "{step}/finish",
)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_text_that_is_not_strict_json_is_refused_on_every_route(
    service: Service, client: httpx2.AsyncClient, text: bytes
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    for route in ROUTES:
        began = time.monotonic()
        answer = await client.post(route.format(step=step.url), content=text)
        assert_problem(answer, 400, "malformed-json")
        assert time.monotonic() - began < 2
        assert len(answer.content) < 2000
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize("text", [b"null", b"[]", b'"x"', b"1", b"true", b'{"nmae":"x"}', b'{"name":1}'])
async def test_json_of_another_shape_is_refused_on_every_route(
    service: Service, client: httpx2.AsyncClient, text: bytes
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    for route in ROUTES:
        answer = await client.post(route.format(step=step.url), content=text)
        assert_problem(answer, 422, "invalid-input")
    assert remains(service.folder / "data").changed(before) == set()


def pieces(total: int) -> Iterator[bytes]:
    yield b'{"name":"'
    for _ in range(total // 65536):
        yield b"a" * 65536
    yield b'"}'


@pytest.mark.parametrize("route", ROUTES)
async def test_a_huge_body_is_refused_with_and_without_a_length(
    service: Service, client: httpx2.AsyncClient, route: str
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    app = create_app(service.parts)
    path = route.format(step=step.url)
    host = ("host", "custody.test")
    length = ("content-length", str(MAX_JSON_BYTES + 1))
    declared = await ask(app, "POST", path, headers=[host, length], body=pieces(MAX_JSON_BYTES + 65536))
    assert_problem(declared, 413, "limit-exceeded")
    tracemalloc.start()
    chunked = await ask(app, "POST", path, headers=[host], body=pieces(256 * MAX_JSON_BYTES))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_problem(chunked, 413, "limit-exceeded")
    assert peak < 5 * MAX_JSON_BYTES
    assert remains(service.folder / "data").changed(before) == set()


async def test_a_length_of_five_thousand_digits_is_no_accident(service: Service) -> None:
    headers = [("host", "custody.test"), ("content-length", "9" * 5000)]
    answer = await ask(create_app(service.parts), "POST", "/v1/runs", headers=headers, body=[b"{}"])
    assert answer.status in {400, 413}, answer.body


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain"])
async def test_an_upload_is_no_json_body_whatever_its_type_says(service: Service, kind: str) -> None:
    content = b"[" * (MAX_JSON_BYTES + 1)
    headers = [("host", "custody.test"), ("content-length", str(len(content)))]
    headers += [("content-type", kind)] if kind else []
    app = create_app(service.parts)
    answer = await ask(app, "POST", "/v1/blobs/uploads", headers=headers, body=[content])
    assert answer.status == 201, answer.body
    assert len(remains(service.folder / "data").keys("projects/default/blobs/")) == 1
