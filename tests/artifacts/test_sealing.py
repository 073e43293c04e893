"""A finished step is acknowledged only once its record is an object of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifacts.errors import UnavailableError
from artifacts.layout import Key
from artifacts.storage.directory import DirectoryStore
from tests.service import Service, a_service

pytestmark = pytest.mark.both_databases

STEP = "01K5AAAAAAAAAAAAAAAAAAAAAA"


class StoreThatComesAndGoes(DirectoryStore):
    """A directory that does not answer while `away`."""

    away = False

    async def put(self, key: Key, content: bytes) -> None:
        """Write, if anybody is there."""
        if self.away:
            raise UnavailableError("the store is away")
        await super().put(key, content)


@pytest.fixture
async def service(tmp_path: Path, index: str | None) -> AsyncIterator[Service]:
    async with a_service(tmp_path, kept_in=StoreThatComesAndGoes(tmp_path / "objects"), index=index) as built:
        yield built


async def test_a_finish_is_not_acknowledged_before_its_record_is_durable(service: Service) -> None:
    store = service.store
    assert isinstance(store, StoreThatComesAndGoes)
    async with service.client() as client:
        await client.post("/v1/steps", json={"id": STEP, "name": "x", "token_sha256": "0" * 64})
        store.away = True
        for _ in range(2):  # the second time the index knows the step as finished
            answer = await client.post(f"/v1/steps/{STEP}/finish", json={"outcome": "succeeded"})
            assert answer.status_code == 503
        store.away = False
        answer = await client.post(f"/v1/steps/{STEP}/finish", json={"outcome": "succeeded"})
        assert answer.json()["state"] == "sealed"
    records = [str(one.key) async for one in store.list("projects/default/records/")]
    assert len(records) == 1
    store.close()
