"""A route whose requests are many: the same rules as `StrictRoute`, without what it does not need.

FastAPI still reads the signature, so the OpenAPI document is the same; at run time the
body is validated by its own model and the endpoint is called at once. Resolving
dependencies and validating our own answers was measured as a third of recording a step.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

from api.auth import parts, project_caller
from api.strict_route import StrictRoute
from artifacts.wire import Wire

Handle = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as FastAPI types it


class _Direct(APIRoute):
    """Calls `endpoint(body, caller, here, request)`, which answers with a finished response."""

    def get_route_handler(self) -> Handle:
        """The handler that `StrictRoute` wraps."""
        endpoint = self.endpoint
        model = get_type_hints(endpoint)["body"]

        async def handle(request: Request) -> Response:
            body = _validated(model, await request.json())
            response = await endpoint(body, project_caller(request), parts(request), request)
            assert isinstance(response, Response)  # noqa: S101  # the class says what an endpoint is
            return response

        return handle


class HotRoute(StrictRoute, _Direct):
    """For endpoints of exactly that form whose caller holds a project token."""


def _validated(model: type[Wire], members: object) -> Wire:
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
