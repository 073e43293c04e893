"""Requests as an attacker writes them: no client normalises their path, host or length."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from tests.service import PUBLIC_URL, TOKENS


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:  # Any: JSON
        return orjson.loads(self.body)


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: Iterable[tuple[str, str]] | None = None,
    body: Iterable[bytes] = (),
    query: str = "",
    token: str | None = TOKENS["default"],
) -> Answer:
    """Send one request exactly as given; `path` is what the server makes of the raw one."""
    given = [("host", "custody.test")] if headers is None else list(headers)
    if token is not None:
        given.append(("authorization", f"Bearer {token}"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 12345),
    }
    pieces = iter(body)

    async def receive() -> Message:
        piece = next(pieces, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    found = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], found, content)


def assert_problem(answer: Any, status: int, slug: str, *, hint: bool = False) -> dict[str, Any]:  # Any: JSON
    """The answer is an RFC 9457 problem of that kind, and tells nothing of our insides."""
    code = answer.status if isinstance(answer, Answer) else answer.status_code
    content = answer.body if isinstance(answer, Answer) else answer.content
    assert code == status, (code, content[:500])
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = orjson.loads(content)
    assert told["type"] == f"{PUBLIC_URL}/problems#{slug}", told
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert len(told["trace_id"]) == 32
    assert not hint or told["hint"], told
    assert b"Traceback" not in content
    assert b"sqlite" not in content.lower()
    return told
