"""Pages that need no token, health, metrics, and the published contract."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from api.app import create_app
from artifacts.errors import CustodyError
from provenance.published_keys import publish
from tests.service import PUBLIC_URL, Service

OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.mark.parametrize(
    "path",
    [
        "/builders/local/v1",
        "/buildtypes/step/v1",
        "/predicates/record/v1",
        "/predicates/tombstone/v1",
        "/predicates/hold/v1",
        "/problems",
    ],
)
async def test_the_urls_of_a_statement_resolve_without_a_token(service: Service, path: str) -> None:
    async with service.client(None) as anyone:
        page = await anyone.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>" in page.text
    assert "script" not in page.headers["content-security-policy"]


async def test_every_problem_type_has_its_heading_on_the_page(service: Service) -> None:
    async with service.client(None) as anyone:
        page = (await anyone.get("/problems")).text
    pending = [CustodyError]
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        assert f'id="{kind.slug}"' in page


async def test_readiness_waits_for_the_signers_key(service: Service) -> None:
    async with service.client(None) as anyone:
        assert (await anyone.get("/healthz")).status_code == 200
        assert (await anyone.get("/readyz")).status_code == 503
        now = datetime(2026, 11, 22, tzinfo=UTC)
        builder = f"{PUBLIC_URL}/builders/local/v1"
        await publish(service.store, service.signer.public_key, builder_id=builder, at=now)
        assert (await anyone.get("/readyz")).json() == {"status": "ready"}
        keys = (await anyone.get("/.well-known/custody/keys.json")).json()
    assert [(key["keyid"], key["builder_id"]) for key in keys["keys"]] == [
        (service.signer.public_key.keyid, builder)
    ]


async def test_metrics_need_a_token_and_never_carry_what_a_caller_wrote(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.get("/v1/artifacts/sha256:" + "ab" * 32)
    await client.request("BREW", "/pot-of-my-own")
    text = (await client.get("/metrics")).text
    assert 'route="/v1/artifacts/{digest}"' in text
    assert "custody_queue_jobs" in text
    assert "abab" not in text
    assert "pot-of-my-own" not in text
    assert "BREW" not in text
    async with service.client(None) as anyone:
        assert (await anyone.get("/metrics")).status_code == 401


async def test_unknown_pages_and_methods_are_problems_too(client: httpx2.AsyncClient) -> None:
    missing = await client.get("/v1/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = await client.delete("/v1/runs")
    assert (wrong.status_code, wrong.json()["status"]) == (405, 405)
    assert wrong.headers["allow"] == "POST"


async def test_a_problem_carries_the_callers_trace_id(client: httpx2.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await client.get("/v1/steps/x", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.json()["trace_id"] == trace
    other = await client.get("/v1/steps/x", headers={"traceparent": "00-evil\n-00f067aa0ba902b7-01"})
    assert len(other.json()["trace_id"]) == 32


async def test_an_error_without_a_name_tells_nothing_of_ours(service: Service) -> None:
    app = create_app(service.parts)

    @app.get("/breaks")
    async def breaks() -> None:
        raise RuntimeError("a secret of ours")

    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=PUBLIC_URL) as anyone:
        answer = await anyone.get("/breaks")
    assert (answer.status_code, answer.json()["type"]) == (500, f"{PUBLIC_URL}/problems#internal")
    assert "secret" not in answer.text


def test_the_published_openapi_document_is_the_one_that_is_served(service: Service) -> None:
    served = create_app(service.parts).openapi()
    assert served["openapi"].startswith("3.1")
    written = json.loads(OPENAPI.read_text())
    assert served == written, "make docs writes it anew; read the difference before committing it"
