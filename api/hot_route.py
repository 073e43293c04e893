"""A route whose requests are many: the same rules as `StrictRoute`, without what it does not need.

FastAPI still reads the signature, so the OpenAPI document is the same; at run time the
body is validated by its own model and the endpoint is called at once. Resolving
dependencies and validating our own answers was measured as a third of recording a step.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, get_type_hints

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError

from api.auth import parts, project_caller
from api.strict_route import StrictRoute
from artifacts.aside import LONG_TEXT, aside_if
from artifacts.wire import Wire

Handle = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as FastAPI types it


class _Direct(APIRoute):
    """Calls `endpoint` with those of `body`, `caller`, `here`, `request` and the path's parameters that it names."""

    def get_route_handler(self) -> Handle:
        """The handler that `StrictRoute` wraps."""
        endpoint = self.endpoint
        model = get_type_hints(endpoint).get("body")
        names = tuple(signature(endpoint).parameters)

        async def handle(request: Request) -> Response:
            given: dict[str, object] = {
                **request.path_params,
                "caller": project_caller(request),
                "here": parts(request),
                "request": request,
            }
            if model is not None:
                given["body"] = await _validated(model, request)
            response = await endpoint(**{name: given[name] for name in names})
            if not isinstance(response, Response):
                raise TypeError(f"{endpoint.__name__} is on a hot route and answers no Response")
            return response

        return handle


class HotRoute(StrictRoute, _Direct):
    """For endpoints of that form whose caller holds a project token; `Express` leads to them."""

    read_by_fastapi = False


async def _validated(model: type[Wire], request: Request) -> Wire:
    members = await request.json()
    try:
        return await aside_if(len(await request.body()) > LONG_TEXT, model.model_validate, members)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
