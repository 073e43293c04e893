"""Tokens are known by their hashes alone: no log, row, object or answer repeats one."""

from __future__ import annotations

import base64
import secrets

import httpx2
import pytest
import structlog

from api import logs
from api.app import create_app
from tests.attacks.actors import an_id, begin, finish
from tests.attacks.raw import ask
from tests.attacks.remains import files_with, remains
from tests.service import TOKENS, Service, sha256


async def test_no_token_is_ever_written_anywhere(
    service: Service, client: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    logs.configure("debug", process="test")
    try:
        answers, used = await _use(service, client)
    finally:
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    written = capfd.readouterr()
    assert "request.answered" in written.err
    spelled = [token.encode() for token in used]
    spelled += [base64.b64encode(token.encode()) for token in used]
    assert files_with(service.folder, spelled) == []
    for token in used:
        assert token not in written.out + written.err
        assert token not in answers
    assert remains(service.folder / "data").rows["attestation"]


async def _use(service: Service, client: httpx2.AsyncClient) -> tuple[str, list[str]]:
    """Use tokens well, badly, in the wrong places; return all answers and the tokens."""
    heard: list[str] = []
    step = await begin(client)
    unknown = "cpt_" + secrets.token_urlsafe(32)
    app = create_app(service.parts)
    for token in (step.token, unknown, TOKENS["other"]):
        async with service.client(token) as caller:
            for method, url in (
                ("PUT", f"{step.url}/outputs/x"),
                ("GET", step.url),
                ("POST", "/v1/runs"),
                ("GET", f"/v1/blobs/sha256:{sha256(b'x')}"),
                ("GET", "/metrics"),
                ("GET", f"/v1/steps/{an_id()}"),
            ):
                answer = await caller.request(method, url, json={})
                heard.append(answer.text + str(answer.headers))
        headers = [("host", "evil.example"), ("authorization", f"Bearer {token}")]
        refused = await ask(app, "GET", step.url, headers=headers, token=None)
        heard.append(refused.body.decode() + str(refused.headers))
    await finish(client, step)
    await service.read_back()
    await service.sign()
    await service.upkeep.tidy()
    return "".join(heard), [step.token, unknown, *TOKENS.values()]
