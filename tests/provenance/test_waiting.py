"""A step whose bytes nobody has read back yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifacts.limits import SMALL_BLOB_BYTES
from tests.service import Service, a_service

pytestmark = pytest.mark.both_databases

STEP = "01K5AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture
async def service(tmp_path: Path, index: str | None) -> AsyncIterator[Service]:
    async with a_service(tmp_path, index=index) as built:
        yield built


async def test_a_step_that_waits_is_looked_at_less_and_less_often_and_then_signed(service: Service) -> None:
    async with service.client() as client:
        await client.post("/v1/steps", json={"id": STEP, "name": "x", "token_sha256": "0" * 64})
        large = bytes(SMALL_BLOB_BYTES + 1)
        assert (await client.put(f"/v1/steps/{STEP}/outputs/large", content=large)).status_code == 201
        await client.post(f"/v1/steps/{STEP}/finish", json={"outcome": "succeeded"})
        looks = 0
        for _ in range(200):  # twenty seconds without a worker
            looks += await service.sign()
            service.clock.advance(0.1)
        assert 5 < looks < 20
        await service.read_back()
        service.clock.advance(2)
        assert await service.sign() == 1
        assert (await client.get(f"/v1/steps/{STEP}")).json()["state"] == "signed"
