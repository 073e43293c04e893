"""Walking from step to step over `step_dep`: many levels in one statement, nearest first.

The textbook recursive query joins inputs with outputs and returns nothing before it has seen
every path. This one follows links that were made once, stops when it has seen enough, and what
it has seen whole is known by its order: a level begins only when the one before it has ended
(PostgreSQL: "Recursive Query Evaluation" in its manual, §7.8.2; SQLite: ORDER BY in the
recursive part makes the walk go breadth first, "WITH clause" in its manual, §3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.tables import step_dep

_ANY_NUMBER: Final = 2**31 - 1
Near = dict[str, int]
"""How many links away each step is, at least 1; the nearest first, newer before older ones."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one walk goes: links, steps that are told of, and rows that are looked at."""

    levels: int
    steps: int
    rows: int
    """A step is one row for each distance at which it is met."""


async def near(
    connection: AsyncConnection, project: str, steps: Sequence[str], bounds: Bounds, *, up: bool
) -> Near:
    """What `steps` depend on (`up`), or what depends on them: all within `bounds`, or some first levels whole.

    The last level that is told of may be cut where `bounds.steps` are told of. `steps` may be
    among them, where they depend on one another.
    """
    asked = {"project": project, "steps": list(steps), "levels": bounds.levels, "most": bounds.rows}
    rows = (await connection.execute(_walk(connection.dialect.name, up), asked)).all()
    whole = rows
    if len(rows) == bounds.rows:
        whole = [row for row in rows if row.level < rows[-1].level]
    if rows and not whole:
        return await _first_level(connection, project, steps, up=up, limit=bounds.steps)
    found: Near = {}
    for row in whole:
        found.setdefault(row.step, row.level)
    nearest = sorted(sorted(found, reverse=True), key=found.__getitem__)
    return {step: found[step] for step in nearest[: bounds.steps]}


async def _first_level(
    connection: AsyncConnection, project: str, steps: Sequence[str], *, up: bool, limit: int
) -> Near:
    asked = {"project": project, "steps": list(steps), "most": limit}
    found: list[str] = list(await connection.scalars(_next(up), asked))
    return dict.fromkeys(found, 1)


# As text, because SQLAlchemy puts the part that is ordered in brackets, which SQLite does not take.
_WALK: Final = """
    WITH RECURSIVE met(step, level) AS (
        SELECT {there}, 1 FROM step_dep WHERE project = :project AND {here} {among}
        UNION
        SELECT step_dep.{there}, met.level + 1 FROM met JOIN step_dep ON step_dep.{here} = met.step
        WHERE step_dep.project = :project AND met.level < :levels
        {order}
    )
    SELECT step, level FROM met LIMIT :most
"""


@cache
def _walk(dialect: str, up: bool) -> sa.TextualSelect:
    """Built once: building it takes longer than running it."""
    here, there = ("step", "dep") if up else ("dep", "step")
    if dialect == "postgresql":
        # One statement, however many steps: of each other number PostgreSQL would make another plan.
        among, order = "= ANY(:steps)", ""
        steps = sa.bindparam("steps", type_=postgresql.ARRAY(sa.Text))
    else:
        among, order = "IN :steps", "ORDER BY 2"
        steps = sa.bindparam("steps", expanding=True)
    written = _WALK.format(here=here, there=there, among=among, order=order)
    return sa.text(written).bindparams(steps).columns(step=sa.Text, level=sa.Integer)


@cache
def _next(up: bool) -> sa.Select[tuple[str]]:
    here, there = (step_dep.c.step, step_dep.c.dep) if up else (step_dep.c.dep, step_dep.c.step)
    # Its limit limits nothing. It keeps SQLite from reading every link of the project in the order
    # that is asked for, in place of the few of `steps`.
    near_ones = (
        sa.select(there.label("there"))
        .where(step_dep.c.project == sa.bindparam("project"), here.in_(sa.bindparam("steps", expanding=True)))
        .limit(sa.literal_column(str(_ANY_NUMBER), sa.Integer))
        .subquery()
    )
    most = sa.bindparam("most", type_=sa.Integer)
    return sa.select(near_ones.c.there).distinct().order_by(near_ones.c.there.desc()).limit(most)
