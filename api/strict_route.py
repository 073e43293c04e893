"""How every `/v1` route takes a request: who first, then strict JSON, then once only.

FastAPI's own reading accepts duplicate members (the last wins) and bodies of any
length, so a body is read and parsed here before FastAPI sees it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Scope

from api.auth import Caller, authenticate, parts
from api.content_digest import declared_digest
from artifacts.aside import LONG_TEXT, aside_if
from artifacts.clock import to_milliseconds
from artifacts.errors import (
    ConflictError,
    IdempotencyMismatchError,
    InvalidInputError,
    LimitExceededError,
)
from artifacts.identifiers import new_ulid
from artifacts.limits import MAX_IDEMPOTENCY_KEY, MAX_JSON_BYTES
from artifacts.queries import tokens
from artifacts.strict_json import JsonValue, loads

_TAKE_BYTES = frozenset({"/v1/steps/{step_id}/outputs/{name}", "/v1/blobs/uploads"})
Handle = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as FastAPI types it


class StrictRoute(APIRoute):
    """Authenticates, parses strictly, and answers a repeated `Idempotency-Key` from memory."""

    max_json_bytes: ClassVar[int] = MAX_JSON_BYTES
    read_by_fastapi: ClassVar[bool] = True
    """Whether FastAPI reads the body once more, and so looks at its type."""

    def get_route_handler(self) -> Handle:
        """Wrap FastAPI's handler."""
        inner = super().get_route_handler()
        reads_json = self.body_field is not None
        path = self.path_format
        limit, for_fastapi = self.max_json_bytes, self.read_by_fastapi

        async def handle(request: Request) -> Response:
            request.state.caller = caller = await authenticate(request)
            await _fence(request, caller, takes_bytes=path in _TAKE_BYTES and not reads_json)
            raw = b""
            if reads_json:
                raw = await _read(request, limit)
                value = await aside_if(len(raw) > LONG_TEXT, loads, raw, max_bytes=limit)
                request = _Parsed(request, raw, value, typed=for_fastapi)
            key = request.headers.get("idempotency-key")
            if key is None or request.method != "POST" or not reads_json:
                return await inner(request)
            scope = (caller.project, caller.sender, f"{request.method} {path}", _checked(key))
            return await _once(request, scope, raw, inner)

        return handle


async def _fence(request: Request, caller: Caller, *, takes_bytes: bool) -> None:
    """Refuse who asks too often, and bytes that clearly do not fit, before anything is read."""
    here = parts(request)
    here.rates.spend(caller.principal)
    length = request.headers.get("content-length", "")
    if takes_bytes and request.method in {"PUT", "POST"} and length.isdecimal() and len(length) < 16:
        declared = declared_digest(request.headers.get("content-digest"))
        await here.quotas.foresee(caller.project, declared, int(length))


def _checked(key: str) -> str:
    if not key.isprintable() or not 0 < len(key) <= MAX_IDEMPOTENCY_KEY:
        raise InvalidInputError(f"an idempotency key has 1 to {MAX_IDEMPOTENCY_KEY} printable characters")
    return key


async def _read(request: Request, limit: int) -> bytes:
    """The body, unless it is too long."""
    # By the length first: nothing of a body that says it is too long is read. Only routes that
    # take JSON look at it, because an upload may be JSON too and is as long as it likes.
    length = request.headers.get("content-length", "")
    if len(length) > 15 or (length.isdecimal() and int(length) > limit):
        raise _too_long(limit)
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise _too_long(limit)
        pieces.append(piece)
    return b"".join(pieces)


class _Parsed(Request):
    """A request whose body was read and parsed: FastAPI asks it, and so do our own routes."""

    def __init__(self, request: Request, raw: bytes, value: JsonValue, *, typed: bool) -> None:
        super().__init__(_as_json(request.scope) if typed else request.scope, request.receive)
        self._raw = raw
        self._value = value

    async def body(self) -> bytes:
        """The body as it was sent."""
        return self._raw

    async def json(self) -> JsonValue:
        """The body as it was parsed, strictly."""
        return self._value


def _as_json(scope: Scope) -> Scope:
    """The same request as JSON, whatever it calls itself."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
    headers.append((b"content-type", b"application/json"))
    return {**scope, "headers": headers}


def _too_long(limit: int) -> LimitExceededError:
    return LimitExceededError(f"a JSON body has at most {limit} bytes", hint="send it in several requests")


async def _once(request: Request, scope: tuple[str, str, str, str], raw: bytes, inner: Handle) -> Response:
    """Answer from memory, or reserve an id under the key and remember the answer.

    The id a route would draw is drawn here and kept before the route runs: a crash
    between its commit and our keeping of the answer repeats into the same id.
    """
    here = parts(request)
    body_digest = hashlib.sha256(request.url.path.encode() + b"\n" + raw).digest()
    now = here.clock.now()
    async with here.database.writing() as connection:
        await tokens.reserve(
            connection, scope, body_digest=body_digest, id_=new_ulid(now), at=to_milliseconds(now)
        )
        known = await tokens.answered(connection, scope)
    if known is None:
        raise ConflictError("the idempotency key was just forgotten", hint="send the request again")
    if known.body_digest != body_digest:
        raise IdempotencyMismatchError(
            "this key came with another body before", hint="use a new key for a new request"
        )
    if known.status is not None:
        return Response(known.response, known.status, media_type="application/json")
    request.state.reserved_id = known.reserved_id
    response = await inner(request)
    async with here.database.writing() as connection:
        await tokens.answer(connection, scope, status=response.status_code, response=bytes(response.body))
    return response


def reserved_id(request: Request) -> str | None:
    """The id that stands for this request's `Idempotency-Key`, if it has one."""
    return getattr(request.state, "reserved_id", None)
