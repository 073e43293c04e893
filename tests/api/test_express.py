"""The short way to the routes that are asked most is the same way for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, cast

import httpx2
import pytest
from fastapi import Response
from fastapi.routing import APIRoute

from api.app import create_app
from api.express import Express
from artifacts.reads import Reads
from tests.service import Service

BODY = {"name": "x", "outcome": "succeeded"}


def _lanes() -> Express:
    async def answer() -> Response:
        return Response()

    return Express([APIRoute("/a", answer, methods=["POST"]), APIRoute("/b/{name}", answer, methods=["GET"])])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/a"),
        ("POST", "/a/"),
        ("POST", "/a/x"),
        ("GET", "/b/"),
        ("GET", "/b/x/y"),
        ("GET", "/b/{name}/"),
    ],
)
def test_what_has_no_lane_goes_the_long_way(method: str, path: str) -> None:
    assert _lanes().lane({"type": "http", "method": method, "path": path}) is None


@pytest.mark.parametrize("root", ["", "/below"])
def test_the_last_part_of_a_path_is_its_parameter(root: str) -> None:
    scope: dict[str, object] = {
        "type": "http",
        "method": "GET",
        "path": f"{root}/b/{{name",
        "root_path": root,
    }
    assert _lanes().lane(scope) is not None
    assert scope["path_params"] == {"name": "{name"}


async def test_the_short_way_counts_its_requests_under_the_route(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/records", json=BODY)).status_code == 201
    text = (await client.get("/metrics")).text
    assert 'custody_requests_total{method="POST",route="/v1/records",status="201"} 1.0' in text


@pytest.mark.parametrize(
    ("body", "status"), [({**BODY, "x": 1}, 422), ({**BODY, "id": "x"}, 422), ({"name": "x"}, 422)]
)
async def test_problems_of_the_short_way_look_like_all_others(
    client: httpx2.AsyncClient, body: dict[str, object], status: int
) -> None:
    answer = await client.post("/v1/records", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["trace_id"]


async def test_a_failure_on_the_short_way_tells_nothing_of_ours(service: Service) -> None:
    class Broken:
        batchers: Final[Mapping[str, object]] = MappingProxyType({})

        async def token(self, _digest: bytes) -> None:
            raise RuntimeError("a secret of ours")

    app = create_app(replace(service.parts, reads=cast("Reads", Broken())))
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer x"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://custody.test", headers=headers
    ) as client:
        answer = await client.post("/v1/records", json=BODY)
    assert answer.status_code == 500
    assert "secret" not in answer.text
