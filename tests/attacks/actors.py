"""Ordinary users of a service, for attacks to be aimed at."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2

from artifacts.identifiers import new_ulid
from tests.service import Service, sha256

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class OpenStep:
    """A step that was begun, and its own token."""

    id: str
    token: str

    @property
    def url(self) -> str:
        return f"/v1/steps/{self.id}"


def an_id() -> str:
    """A ULID nobody has used."""
    return new_ulid(NOW)


async def begin(client: httpx2.AsyncClient, **members: object) -> OpenStep:
    """Begin a step with a token of its own."""
    step = OpenStep(an_id(), f"cst_{secrets.token_urlsafe(32)}")
    body = {"id": step.id, "token_sha256": sha256(step.token.encode()), "name": "build", **members}
    answer = await client.post("/v1/steps", json=body)
    assert answer.status_code == 201, answer.text
    return step


async def put(client: httpx2.AsyncClient, step: OpenStep, name: str, content: bytes) -> str:
    """Upload an output; return its digest."""
    answer = await client.put(f"{step.url}/outputs/{name}", content=content)
    assert answer.status_code in {200, 201}, answer.text
    return f"sha256:{answer.json()['digest']['sha256']}"


async def finish(client: httpx2.AsyncClient, step: OpenStep, outcome: str = "succeeded") -> None:
    """Finish the step."""
    answer = await client.post(f"{step.url}/finish", json={"outcome": outcome})
    assert answer.status_code in {200, 202}, answer.text


async def built(service: Service, client: httpx2.AsyncClient, content: bytes = b"a wheel") -> OpenStep:
    """A step with one output, uploaded by its own token, finished and signed."""
    step = await begin(client)
    async with service.client(step.token) as own:
        await put(own, step, "dist/x.whl", content)
        await finish(own, step)
    await service.sign()
    return step


def content_digest(content: bytes) -> str:
    """The `Content-Digest` field of `content`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
