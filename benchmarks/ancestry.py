"""P9: the steps that an artifact comes from, twenty levels up, beside the recursive query of textbooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from api.settings import Settings
from artifacts.db import Database, connect
from artifacts.digest import Digest
from benchmarks import requests
from benchmarks.finished_steps import PROJECT
from benchmarks.grounds import Ground
from benchmarks.results import Bar, Measured, Result, at_most
from benchmarks.rounds import Scale, in_turns, timed
from provenance.lineage import trace, walk

_DEPTH = 20
_REPEATS = 5
# SQLite takes tables of a CROSS JOIN in the order they are written; left to choose, it takes minutes.
_TEXTBOOK = sa.text("""
    WITH RECURSIVE above(step, level) AS (
        SELECT step, 1 FROM step_output WHERE project = :project AND address = :address
        UNION
        SELECT made.step, above.level + 1
        FROM above CROSS JOIN step_input AS used CROSS JOIN step_output AS made
        WHERE above.level < :depth AND used.project = :project AND used.step = above.step
            AND made.project = used.project AND made.address = used.address
    )
    SELECT step, min(level) FROM above GROUP BY step
""")
Asked = Callable[[AsyncConnection, Digest], Coroutine[Any, Any, dict[str, int]]]  # Any: what coroutines send
"""Answers with the level of each step."""


def traced(ground: Ground, settings: Settings, steps: int, size: str, scale: Scale) -> list[Result]:
    """Ask about an output of the last of so many steps; all answers must be the same."""
    root = Digest("sha256", requests.digest(steps - 1, 0))
    database = connect(settings.index_url)
    with asyncio.Runner() as runner:

        def ask(asked: Asked) -> dict[str, int]:
            return runner.run(_read(database, asked, root))

        try:
            found = ask(_walked)
            if not found or any(ask(other) != found for other in (_textbook, _whole)):
                raise RuntimeError("the answers differ")
            sides = [
                partial(timed, partial(ask, asked), repeats=_REPEATS)
                for asked in (_walked, _whole, _textbook)
            ]
            walked, whole, textbook = in_turns(sides, rounds=scale.rounds * 2, factor=1000)
        finally:
            runner.run(database.close())
    work = f"{len(found)} steps up to {_DEPTH} levels above one of {size}, {ground.name}"
    peer = Measured("recursive query over inputs and outputs", textbook, "ms")
    bars = [at_most(1 / 10)] if ground.cluster is None else [Bar(5, at_most=True, own=True), at_most(1 / 10)]
    return [
        Result("P9", work, Measured("walk over step_dep", walked, "ms"), peer, ground.place, bars),
        Result(
            "P9",
            f"{work}, with their inputs, outputs and attestations",
            Measured("trace, as the api calls it", whole, "ms"),
            peer,
            ground.place,
            notes=["the peer finds the steps alone"],
        ),
    ]


async def _read(database: Database, asked: Asked, root: Digest) -> dict[str, int]:
    async with database.reading() as connection:
        return await asked(connection, root)


async def _walked(connection: AsyncConnection, root: Digest) -> dict[str, int]:
    return (await walk(connection, PROJECT, root, up=True, depth=_DEPTH))[0]


async def _whole(connection: AsyncConnection, root: Digest) -> dict[str, int]:
    found = await trace(connection, PROJECT, root, up=True, depth=_DEPTH)
    return {one.step.id: one.level for one in found.steps}


async def _textbook(connection: AsyncConnection, root: Digest) -> dict[str, int]:
    asked = {"project": PROJECT, "address": root.raw, "depth": _DEPTH}
    found = await connection.execute(_TEXTBOOK, asked)
    return {row.step: row[1] for row in found}
