"""The way of the few routes whose requests are many: from the edge to the route, past what they do not need.

FastAPI looks for a route by trying one pattern after the other, below four layers of its
own; that costs more than looking up a token. What is found here is handled by the very
route that FastAPI would have found, and errors by the handlers the application has.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from artifacts.errors import CustodyError

Handle = Callable[[Request], Coroutine[Any, Any, Response]]  # Any: as FastAPI types it
_Lane = tuple[APIRoute, Handle, str | None]
_PROBLEMS = (CustodyError, RequestValidationError, HTTPException)


class Express:
    """Finds routes whose path is fixed, or ends with its one parameter, by looking them up."""

    def __init__(self, routes: Iterable[APIRoute]) -> None:
        self._lanes: dict[tuple[str, str], _Lane] = {}
        for route in routes:
            before, _, name = route.path.partition("{")
            for method in route.methods or ():
                self._lanes[method, before] = (route, route.get_route_handler(), name.rstrip("}") or None)

    def lane(self, scope: Scope) -> _Lane | None:
        """The way of this request, if it has one."""
        path: str = scope["path"]
        if root := scope.get("root_path", ""):
            path = path.removeprefix(root)
        fixed = self._lanes.get((scope["method"], path))
        if fixed is not None and fixed[2] is None:
            return fixed
        before, slash, last = path.rpartition("/")
        found = self._lanes.get((scope["method"], before + slash))
        if found is None or found[2] is None or not last:
            return None
        scope["path_params"] = {found[2]: last}
        return found


async def run(lane: _Lane, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request by its lane."""
    route, handle, _ = lane
    scope["route"] = route
    request = Request(scope, receive, send)
    try:
        response = await handle(request)
    except _PROBLEMS as error:
        response = await _problem(request, error)
    await response(scope, receive, send)


async def _problem(request: Request, error: Exception) -> Response:
    handlers = request.app.exception_handlers
    for kind in type(error).__mro__:
        if kind in handlers:
            response: Response = await handlers[kind](request, error)
            return response
    raise error
