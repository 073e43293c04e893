"""Whole steps go into the index at once, and finding who used what reads no more than it must."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import httpx2
import pytest

from artifacts.queries import sealing
from tests.service import Service

STEP = "01K5AAAAAAAAAAAAAAAAAAAAAA"
OTHER = "01K5BBBBBBBBBBBBBBBBBBBBBB"


def _reference(hex_digit: str, name: str) -> dict[str, object]:
    return {"name": name, "uri": f"file:///{name}", "digest": {"sha256": hex_digit * 64}}


async def _sealed(service: Service, step: str) -> dict[str, Any]:  # Any: JSON
    async with service.database.reading() as connection:
        place = await sealing.place_of(connection, "default", step)
    assert place is not None
    line = await service.store.read(place.segment, start=place.start, length=place.length)
    record: dict[str, Any] = json.loads(line)
    return record


@pytest.mark.both_databases
async def test_the_record_lists_inputs_and_outputs_in_the_order_of_the_index(
    service: Service, client: httpx2.AsyncClient
) -> None:
    inputs = [_reference("b", "z"), _reference("a", "é"), _reference("c", "a")]
    outputs = [_reference("2", "b/2"), _reference("1", "b/10")]
    body = {"id": STEP, "name": "x", "outcome": "succeeded", "inputs": inputs, "outputs": outputs}
    assert (await client.post("/v1/records", json=body)).status_code == 201
    begun = {"id": OTHER, "name": "x", "token_sha256": "0" * 64}
    assert (await client.post("/v1/steps", json=begun)).status_code == 201
    await client.post(f"/v1/steps/{OTHER}/inputs", json={"inputs": inputs})
    await client.post(f"/v1/steps/{OTHER}/outputs", json={"outputs": outputs})
    await client.post(f"/v1/steps/{OTHER}/finish", json={"outcome": "succeeded"})
    whole, by_parts = [await _sealed(service, step) for step in (STEP, OTHER)]
    assert [whole[name] for name in ("inputs", "outputs")] == [
        by_parts[name] for name in ("inputs", "outputs")
    ]


async def test_linking_a_step_reads_its_own_references_only(service: Service) -> None:
    statements: list[str] = []
    async with service.database.writing() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_trace_callback(statements.append)
        await sealing.link(connection, "default", [STEP])
        await driver.set_trace_callback(None)
    index = sqlite3.connect(service.folder / "data" / "index" / "custody.db")
    inserts = [text for text in statements if "INSERT INTO step_dep" in text]
    plans = [str(row[3]) for text in inserts for row in index.execute(f"EXPLAIN QUERY PLAN {text}")]
    index.close()
    assert len(inserts) == 2
    searches = [line for line in plans if "step_input" in line or "step_output" in line or "used" in line]
    assert searches
    assert all("address=?" in line or "step=?" in line for line in searches), plans
