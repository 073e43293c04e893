"""Whether this process lives, is ready, and what it has done."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.auth import PartsHere, ProjectCaller
from api.metrics import CONTENT_TYPE, ApiMetrics
from api.strict_route import StrictRoute
from artifacts.clock import to_milliseconds
from artifacts.errors import UnavailableError
from artifacts.queries import queue
from provenance.published_keys import published

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(here: PartsHere, request: Request) -> dict[str, str]:
    """The index answers, the store can be read, the signer has published its key, and nobody said to stop."""
    if getattr(request.app.state, "draining", False):
        raise UnavailableError("this api is stopping", hint="ask another one")
    async with here.database.reading() as connection:
        await queue.depth(connection)
    if not await published(here.store):
        raise UnavailableError("the signer has not published its key yet")
    return {"status": "ready"}


def metrics_route(metrics: ApiMetrics) -> APIRouter:
    """The route that shows `metrics`."""
    metrics_router = APIRouter(route_class=StrictRoute, tags=["health"])

    @metrics_router.get("/metrics", response_class=Response)
    async def show(caller: ProjectCaller, here: PartsHere) -> Response:
        """Counters in the Prometheus exposition format."""
        del caller  # asking needs a token, and that is all
        async with here.database.reading() as connection:
            backlog = await queue.backlog(connection)
        metrics.show_queue(backlog, now=to_milliseconds(here.clock.now()))
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return metrics_router
