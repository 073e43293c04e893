"""JSON as the service speaks it, read strictly because it may not be our service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from custody.errors import RefusedError, ServiceError
from custody.evidence.errors import MalformedJsonError
from custody.strict_json import loads
from custody.transport import MAX_ANSWER, Answer

# `Any`: a JSON document has no static type; `text`, `listed` and `mapped` narrow it at the point of use.
Document = dict[str, Any]

_HINTS = {
    401: "check CUSTODY_TOKEN",
    403: "this token may not do that; a step token may only write to its own open step",
    421: "the service does not answer to this host name; compare CUSTODY_URL with its public address",
}


def encode(document: Mapping[str, object]) -> bytes:
    """Return `document` as compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def document(answer: Answer) -> Document:
    """Return the JSON object in a good answer.

    Raises:
        RefusedError: The answer is a problem, a redirect or not an answer of this service.
        ServiceError: The answer is not the JSON it should be.
    """
    if not 200 <= answer.code < 300:
        raise refusal(answer)
    return _parsed(answer.body)


def refusal(answer: Answer) -> RefusedError:
    """Return the error that a problem document, or any other bad answer, means."""
    if 300 <= answer.code < 400:
        return RefusedError(
            answer.code,
            "the service answered with a redirect, which is never followed",
            hint="set CUSTODY_URL to the address it redirects to, if you trust it",
        )
    problem = _problem(answer)
    message = text(problem, "detail") or text(problem, "title") or f"the service answered {answer.code}"
    slug = text(problem, "type").rpartition("/")[2].rpartition("#")[2]
    hint = text(problem, "hint") or _HINTS.get(answer.code)
    return RefusedError(answer.code, message, slug=slug, hint=hint)


def text(document: Mapping[str, object], name: str) -> str:
    """Return the text member `name`, or an empty one."""
    found = document.get(name)
    return found if isinstance(found, str) else ""


def listed(document: Mapping[str, object], name: str) -> list[Document]:
    """Return the objects in the list member `name`, or none."""
    found = document.get(name)
    return [member for member in found if isinstance(member, dict)] if isinstance(found, list) else []


def _problem(answer: Answer) -> Document:
    if "json" not in answer.headers.get("content-type", ""):
        return {}
    try:
        return _parsed(answer.body)
    except ServiceError:
        return {}


def _parsed(body: bytes) -> Document:
    try:
        found = loads(body, max_bytes=MAX_ANSWER)
    except MalformedJsonError as error:
        raise ServiceError(f"the service answered with malformed JSON: {error}") from error
    if not isinstance(found, dict):
        raise ServiceError("the service answered with JSON that is no object")
    return found
