"""A Host header is compared with the names that are served, and believed for nothing else."""

from __future__ import annotations

import base64

import httpx2
import orjson
import pytest

from api.app import create_app
from api.settings import Settings
from tests.attacks.actors import begin, built
from tests.attacks.raw import ask, assert_problem
from tests.attacks.remains import remains
from tests.service import PUBLIC_URL, Service

FORGED = [
    None,
    "",
    "evil.example",
    "evil.example:80",
    "custody.test.evil.example",
    "evil.custody.test",
    "xcustody.test",
    "custody.test.",
    "custody.test..",
    "custody.test:80@evil.example",
    "custody.test@evil.example",
    "custody.test:evil",
    "custody.test/evil",
    "custody.test evil.example",
    "custody.test,evil.example",
    "custody.test#",
    "custody.test\x00",
    "http://custody.test",
    "[::1]",
    "[::1]:8080",
    "[custody.test]",
    "[::ffff:127.0.0.1]",
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104 - sent as a header, bound to nothing
    "0x7f.1",
    "2130706433",
    "localhost",
    "169.254.169.254",
    "custody\u00adtest".encode().decode("latin-1"),
    "c" * 100_000,
]


@pytest.mark.parametrize("host", FORGED, ids=range(len(FORGED)))
async def test_nothing_is_served_under_a_name_that_is_not_ours(
    service: Service, client: httpx2.AsyncClient, host: str | None
) -> None:
    step = await begin(client)
    before = remains(service.folder / "data")
    app = create_app(service.parts)
    headers = [] if host is None else [("host", host)]
    for method, path in (
        ("POST", f"{step.url}/finish"),
        ("PUT", f"{step.url}/outputs/x"),
        ("GET", "/.well-known/custody/keys.json"),
        ("GET", "/healthz"),
        ("GET", "/nowhere"),
    ):
        body = [b'{"outcome":"succeeded"}']
        answer = await ask(app, method, path, headers=headers, body=body)
        told = assert_problem(answer, 421, "invalid-input", hint=True)
        assert len(str(told)) < 2000
    assert remains(service.folder / "data").changed(before) == set()


@pytest.mark.parametrize(
    "host", ["custody.test", "custody.test:80", "custody.test:9", "CUSTODY.TEST", "Custody.Test:65535"]
)
async def test_our_name_is_served_in_any_case_and_with_any_port(service: Service, host: str) -> None:
    answer = await ask(create_app(service.parts), "GET", "/healthz", headers=[("host", host)])
    assert answer.status == 200


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080", "127.0.0.1:1", "LocalHost"])
async def test_loopback_is_served_where_it_is_listened_on(service: Service, host: str) -> None:
    settings = Settings(data=service.folder / "data", listen="127.0.0.1:8080")
    parts = service.parts
    here = type(parts)(
        **{n: getattr(parts, n) for n in parts.__dataclass_fields__} | {"hosts": settings.hosts}
    )
    assert (await ask(create_app(here), "GET", "/healthz", headers=[("host", host)])).status == 200


async def test_builder_id_and_links_never_follow_the_request(
    service: Service, client: httpx2.AsyncClient
) -> None:
    forged = {
        "Host": "custody.test:6666",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "6.6.6.6",
        "X-Original-URL": "/evil",
        "X-Rewrite-URL": "/evil",
        "Forwarded": "host=evil.example;proto=https",
        "Origin": "http://evil.example",
        "Referer": "http://evil.example/",
    }
    client.headers.update(forged)
    step = await built(service, client)
    page = (await client.get(step.url)).json()
    (stated,) = page["attestations"]
    assert stated["builder_id"] == f"{PUBLIC_URL}/builders/local/v1"
    bundle = (await client.get(stated["url"])).content
    payload = base64.b64decode(orjson.loads(bundle)["dsseEnvelope"]["payload"])
    for evil in (b"evil", b"6666", b"https://custody.test"):
        assert evil not in payload
    for url in (step.url, "/v1/artifacts?name=dist/x.whl&limit=1", "/.well-known/custody/keys.json", "/nope"):
        answer = await client.get(url)
        assert "evil" not in answer.text + str(answer.headers)
        assert "6666" not in answer.text + str(answer.headers)
    left = remains(service.folder / "data")
    assert "evil" not in str(left.rows)
    assert len(left.rows["attestation"]) == 1


@pytest.mark.parametrize("path", ["/v1/runs/", "/healthz/", "//evil.example/", "/v1/blobs/", "/problems/"])
async def test_a_stray_slash_redirects_nobody(service: Service, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await ask(
            create_app(service.parts), method, path, headers=[("host", "custody.test:6666")], body=[b"{}"]
        )
        assert "location" not in answer.headers
        assert answer.status in {404, 405, 422}, answer.body
