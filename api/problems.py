"""Errors as HTTP problems (RFC 9457): one class, one status, one heading in `docs/problems.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from artifacts import errors
from artifacts.errors import CustodyError, InvalidInputError, NotFoundError

PROBLEM_JSON: Final = "application/problem+json"
STATUSES: Final[Mapping[type[CustodyError], int]] = {
    errors.CustodyError: 500,
    errors.InvalidInputError: 422,
    errors.MalformedJsonError: 400,
    errors.InvalidDigestError: 422,
    errors.DigestMismatchError: 422,
    errors.IdempotencyMismatchError: 422,
    errors.LimitExceededError: 413,
    errors.QuotaExceededError: 413,
    errors.RateLimitedError: 429,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.PurgedError: 410,
    errors.ConflictError: 409,
    errors.StepFinishedError: 409,
    errors.EvidenceError: 422,
    errors.CorruptedError: 500,
    errors.UnavailableError: 503,
    errors.GaveWayError: 503,
    errors.AwaitingBytesError: 503,
    errors.BeingRemovedError: 503,
}
_BY_STATUS: Final = {404: NotFoundError, 405: InvalidInputError}
_log = structlog.get_logger()


def problem(public_url: str, error: CustodyError, *, status: int, trace_id: str) -> Response:
    """The answer that tells `error` to a client."""
    facts = {name: value for name, value in error.facts.items() if value is not None}
    body: dict[str, Any] = {  # Any: JSON
        **facts,
        "type": f"{public_url}/problems#{error.slug}",
        "title": error.title,
        "status": status,
        "detail": error.message,
        "trace_id": trace_id,
    }
    if error.hint:
        body["hint"] = error.hint
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="custody"'
    retry_after = facts.get("retry_after", 1 if status == 503 else None)
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return Response(orjson.dumps(body, default=str), status, headers, media_type=PROBLEM_JSON)


def install(app: FastAPI, public_url: str) -> None:
    """Make every error of `app` a problem."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, CustodyError)  # noqa: S101  # the registration below guarantees it
        return _answer(request, error, STATUSES[type(error)])

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # the registration below guarantees it
        return _answer(request, _explained(error), 422)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # the registration below guarantees it
        kind = _BY_STATUS.get(error.status_code, InvalidInputError)
        what = "there is no such page" if error.status_code == 404 else str(error.detail)
        answer = _answer(request, kind(what), error.status_code)
        answer.headers.update(error.headers or {})
        return answer

    async def unknown(request: Request, error: Exception) -> Response:
        _log.error("request.failed", error=type(error).__name__, trace_id=trace_id(request), exc_info=error)
        return _answer(request, CustodyError("the request failed; the log has the reason"), 500)

    def _answer(request: Request, error: CustodyError, status: int) -> Response:
        return problem(public_url, error, status=status, trace_id=trace_id(request))

    app.add_exception_handler(CustodyError, ours)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unknown)


def trace_id(request: Request) -> str:
    """The id under which the log knows this request."""
    return str(request.scope.get("custody.trace_id", ""))


def _explained(error: RequestValidationError) -> InvalidInputError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:200]
    return InvalidInputError(f"{where}: {first['msg']}"[:500] if where else str(first["msg"])[:500])
