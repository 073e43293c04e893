"""Walking from step to step: near ones first, within bounds, over the links of those steps only."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping

import pytest
import sqlalchemy as sa

from artifacts.digest import Digest
from artifacts.limits import MAX_LINEAGE_STEPS
from artifacts.queries import lineage, links
from artifacts.queries.addresses import address
from artifacts.queries.links import Bounds
from artifacts.tables import artifact, run, step, step_dep, step_input, step_output
from provenance.lineage import walk
from tests.service import Service

DEFAULT = "default"
STEPS = ["01K5AAAAAAAAAAAAAAAAAAAAAA", "01K5BBBBBBBBBBBBBBBBBBBBBB"]
ROOT = Digest("sha256", "ab" * 32)
Graph = Mapping[str, set[str]]
"""What each step depends on."""


async def linked(service: Service, graph: Graph, *, involved: list[str]) -> None:
    """File steps with these links; those `involved` each used the artifact ROOT, and made it too."""
    same = {"project": DEFAULT, "run": "a", "name": "a", "principal": "a", "state": "sealed", "begun": "{}"}
    root = {"name": "a", "address": address(ROOT), "body": "{}"}
    dated = {"began_at": 0, "expires_at": 0}
    async with service.database.writing() as connection:

        async def file(table: sa.Table, rows: list[dict[str, object]]) -> None:
            if rows:
                await connection.execute(sa.insert(table), [{"project": DEFAULT, **row} for row in rows])

        await file(run, [{"id": "a", "name": "a", "principal": "a", "began_at": 0}])
        await file(step, [{**same, **dated, "id": one} for one in graph])
        await file(step_dep, [{"step": one, "dep": dep} for one, deps in graph.items() for dep in deps])
        named = {"address": address(ROOT), "algorithm": "sha256", "digest": ROOT.raw}
        await file(artifact, [{**named, "created_at": 0, "named_at": 0}])
        made, used = {**root, "role": "output", "received": False}, {**root, "role": "input", "uri": ""}
        await file(step_output, [{**made, "step": one} for one in involved])
        await file(step_input, [{**used, "step": one} for one in involved])


def some_graph(chosen: random.Random) -> Graph:
    """Up to 40 steps; now and then some depend on one another in a circle."""
    names = [f"01K{number:023d}" for number in range(chosen.randint(1, 40))]
    most = chosen.choice([1, 3, 10])
    circular = chosen.random() < 0.3
    return {
        name: set(chosen.choices(among, k=chosen.randint(0, most)))
        if (among := names if circular else names[:place])
        else set()
        for place, name in enumerate(names)
    }


def turned(graph: Graph) -> Graph:
    """What depends on each step."""
    return {one: {other for other in graph if one in graph[other]} for one in graph}


def levels_by_hand(graph: Graph, start: list[str], *, depth: int) -> dict[str, int]:
    """As `walk` must find them: a level after the other."""
    levels = dict.fromkeys(start, 1)
    for level in range(2, depth + 1):
        met = {dep for one, at in levels.items() if at == level - 1 for dep in graph[one]}
        levels |= dict.fromkeys(met - levels.keys(), level)
    return levels


@pytest.mark.both_databases
@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("seed", range(6))
async def test_a_step_is_met_at_its_nearest_level_however_little_one_statement_may_see(
    service: Service, seed: int, up: bool
) -> None:
    chosen = random.Random(seed)
    graph = some_graph(chosen)
    involved = sorted(chosen.sample(sorted(graph), k=min(2, len(graph))))
    await linked(service, graph, involved=involved)
    for depth in (1, 2, 5, 50):
        expected = levels_by_hand(graph if up else turned(graph), involved, depth=depth)
        for rows in (1, 2, 7, 4096):
            async with service.database.reading() as connection:
                found = await walk(connection, DEFAULT, ROOT, up=up, depth=depth, most_rows=rows)
            assert found == (expected, False), (depth, rows)


@pytest.mark.both_databases
@pytest.mark.parametrize("rows", [3, 4096])
async def test_of_too_many_the_nearest_are_kept_and_of_those_the_newest(service: Service, rows: int) -> None:
    names = [f"01K{number:023d}" for number in range(MAX_LINEAGE_STEPS + 5)]
    (oldest, middle), (last, *many) = names[:2], reversed(names[2:])
    await linked(
        service,
        {oldest: set(), middle: {oldest}, last: {middle, *many}} | {one: set() for one in many},
        involved=[last],
    )
    async with service.database.reading() as connection:
        levels, truncated = await walk(connection, DEFAULT, ROOT, up=True, depth=9, most_rows=rows)
    assert truncated
    assert list(levels) == [last, *many[: MAX_LINEAGE_STEPS - 1]]


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("rows", [1, 4096])
async def test_a_level_reads_the_links_of_its_steps_only(service: Service, up: bool, rows: int) -> None:
    await linked(service, {STEPS[0]: set(), STEPS[1]: {STEPS[0]}}, involved=[])
    statements: list[str] = []
    async with service.database.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.set_trace_callback(statements.append)
        near = await links.near(connection, DEFAULT, STEPS, Bounds(3, 10, rows), up=up)
        await driver.set_trace_callback(None)
    assert near == {STEPS[0 if up else 1]: 1}
    asked = [text for text in statements if "step_dep" in text]
    assert len(asked) == (2 if rows == 1 else 1)
    index = sqlite3.connect(service.folder / "data" / "index" / "custody.db")
    for text in asked:
        plan = [str(row[3]) for row in index.execute(f"EXPLAIN QUERY PLAN {text}")]
        searches = [line for line in plan if "step_dep" in line]
        assert searches
        assert all(("step=?" if up else "dep=?") in search for search in searches), plan
    index.close()


@pytest.mark.both_databases
async def test_the_limit_of_what_steps_touched_is_known_to_whoever_plans_the_statement(
    service: Service,
) -> None:
    sent: list[str] = []
    async with service.database.reading() as connection:

        def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
            sent.append(statement)

        sa.event.listen(connection.sync_connection, "before_cursor_execute", note)
        await lineage.inputs(connection, DEFAULT, STEPS, limit=4321)
        await lineage.outputs(connection, DEFAULT, STEPS, limit=4321)
    assert ["LIMIT 4321" in statement for statement in sent if "JOIN artifact" in statement] == [True, True]
