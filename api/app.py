"""Joining the parts into an application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.express import Express
from api.hot_route import HotRoute
from api.limiting import Edge
from api.metrics import ApiMetrics
from api.parts import Parts
from api.problems import install
from api.routes import (
    artifacts,
    attestations,
    blobs,
    health,
    log,
    pages,
    products,
    records,
    runs,
    steps,
    trees,
    uploads,
)
from api.version import VERSION

_ROUTERS = (
    runs.router,
    steps.router,
    products.router,
    records.router,
    uploads.announcing_router,
    uploads.router,
    blobs.router,
    trees.router,
    trees.outputs_router,
    artifacts.router,
    artifacts.hot_router,
    attestations.router,
    log.router,
    health.router,
    pages.router,
)


class Application(FastAPI):
    """FastAPI whose OpenAPI document says how errors look."""

    def openapi(self) -> dict[str, Any]:  # Any: JSON
        """The OpenAPI 3.1 document; `docs/openapi.json` is a copy that a test compares."""
        if self.openapi_schema is None:
            document = get_openapi(
                title="Custody",
                version=VERSION,
                summary="Immutable artifact references, stored bytes, signed provenance",
                routes=self.routes,
            )
            _describe_problems(document)
            self.openapi_schema = document
        return self.openapi_schema


def create_app(parts: Parts, metrics: ApiMetrics | None = None) -> FastAPI:
    """The application over `parts`; tests pass their own."""
    metrics = metrics or ApiMetrics()
    metrics.show_batches({**parts.reads.batchers, **parts.sealer.batchers})
    # No redirects: they would repeat the Host header, and carry a token to whatever port it names.
    app = Application(docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.parts = parts
    for router in (*_ROUTERS, health.metrics_route(metrics)):
        app.include_router(router)
    install(app, parts.public_url)
    lanes = Express(_hot_routes())
    app.add_middleware(Edge, public_url=parts.public_url, hosts=parts.hosts, metrics=metrics, lanes=lanes)
    return app


def _hot_routes() -> Iterator[HotRoute]:
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, HotRoute):
                yield route


def _describe_problems(document: dict[str, Any]) -> None:  # Any: JSON
    problem = {
        "type": "object",
        "required": ["type", "title", "status", "detail", "trace_id"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "hint": {"type": "string"},
            "trace_id": {"type": "string"},
        },
    }
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = problem
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    answer = {
        "description": "A problem (RFC 9457)",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = answer
