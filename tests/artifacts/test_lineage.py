"""Walking from step to step reads the links of those steps, and not of the whole project."""

from __future__ import annotations

import sqlite3

import pytest

from artifacts.queries import lineage
from tests.service import Service

STEPS = ["01K5AAAAAAAAAAAAAAAAAAAAAA", "01K5BBBBBBBBBBBBBBBBBBBBBB"]


@pytest.mark.parametrize("up", [True, False])
async def test_a_level_reads_the_links_of_its_steps_only(service: Service, up: bool) -> None:
    statements: list[str] = []
    async with service.database.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_trace_callback(statements.append)
        assert await lineage.next_level(connection, "default", STEPS, up=up, limit=10) == []
        await driver.set_trace_callback(None)
    (asked,) = [text for text in statements if "step_dep" in text]
    index = sqlite3.connect(service.folder / "data" / "index" / "custody.db")
    plan = [str(row[3]) for row in index.execute(f"EXPLAIN QUERY PLAN {asked}")]
    index.close()
    (search,) = [line for line in plan if "step_dep" in line]
    assert ("step=?" if up else "dep=?") in search, plan
