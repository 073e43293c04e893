"""What surrounds every request: which hosts are served, its trace id, what is counted."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import express
from api.express import Express
from api.metrics import ApiMetrics
from api.prefix import Prefix
from api.problems import problem
from api.version import HEADER
from artifacts.errors import CustodyError, InvalidInputError

_TRACEPARENT: Final = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{0,5})?")
_SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"custody-version", HEADER.encode()),
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; frame-ancestors 'none'"),
)
_log = structlog.get_logger()


class Edge:
    """The outermost layer: pure ASGI, because it must see requests before anything reads them."""

    def __init__(
        self, app: ASGIApp, *, public_url: str, hosts: frozenset[str], metrics: ApiMetrics, lanes: Express
    ) -> None:
        self._app = app
        self._lanes = lanes
        self._public_url = public_url
        self._hosts = hosts
        self._metrics = metrics
        self._prefix = Prefix(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it before anything else sees it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = self._prefix.applied(scope)
        headers = dict(scope["headers"])
        scope["custody.trace_id"] = _trace_id(headers.get(b"traceparent", b""))
        refused = self._refused(headers)
        if refused is not None:
            answer = problem(self._public_url, refused, status=421, trace_id=scope["custody.trace_id"])
            await answer(scope, receive, send)
            return
        await self._pass(scope, receive, send)

    def _refused(self, headers: dict[bytes, bytes]) -> CustodyError | None:
        host = _host(headers.get(b"host", b""))
        if host not in self._hosts:
            # The name is never believed and never repeated in a statement; a forged one may be
            # DNS rebinding, so nothing at all is served under it.
            hint = "set CUSTODY_ALLOWED_HOSTS to serve it"
            return InvalidInputError("this host is not served here", hint=hint, host=host[:200])
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        status = 500
        self._metrics.began()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_SAFE_HEADERS]
            await send(message)

        try:
            lane = self._lanes.lane(scope)
            if lane is None:
                await self._app(scope, receive, sending)
            else:
                await express.run(lane, scope, receive, sending)
        finally:
            # Labels come from the route's own template: what a caller writes is never a label.
            route = getattr(scope.get("route"), "path", "unknown")
            seconds = time.perf_counter() - began
            self._metrics.answered(scope["method"], route, status, seconds)
            _tell(scope, route, status, seconds)


def _tell(scope: Scope, route: str, status: int, seconds: float) -> None:
    """Log the answer: always where it is our fault, else only for whoever wants to see every request."""
    told = _log.warning if status >= 500 else _log.debug
    told(
        "request.answered",
        method=scope["method"],
        route=route,
        status=status,
        seconds=round(seconds, 4),
        trace_id=scope["custody.trace_id"],
    )


def _host(header: bytes) -> str:
    """The name in a Host header, or the whole of it where it is not `name[:port]`."""
    text = header.decode("latin-1").lower()
    found = _HOST.fullmatch(text)
    return (found.group(1) or found.group(2)) if found else text


def _trace_id(traceparent: bytes) -> str:
    """The caller's W3C trace id, or a new one."""
    given = _TRACEPARENT.fullmatch(traceparent)
    return given.group(1).decode() if given else secrets.token_hex(16)
