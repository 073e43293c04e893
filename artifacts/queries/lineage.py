"""Walking from step to step, a level at a time.

One query a level over `step_dep` was measured 17 to 22 times faster than the textbook
recursive query, which visits a step once for every path that leads to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.addresses import address
from artifacts.steps import Role
from artifacts.tables import artifact, step, step_dep, step_input, step_output

_ANY_NUMBER: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TracedStep:
    """A step met on the way."""

    id: str
    run: str
    name: str
    outcome: str | None


@dataclass(frozen=True, slots=True)
class TracedRef:
    """An input or output of a step met on the way."""

    step: str
    digest: Digest
    uri: str
    name: str


async def makers(connection: AsyncConnection, project: str, digest: Digest, *, limit: int) -> list[str]:
    """Steps with the artifact among their outputs or byproducts, newest first."""
    found = await connection.scalars(
        sa.select(step_output.c.step)
        .where(step_output.c.project == project, step_output.c.address == address(digest))
        .distinct()
        .order_by(step_output.c.step.desc())
        .limit(limit)
    )
    return list(found)


async def users(connection: AsyncConnection, project: str, digest: Digest, *, limit: int) -> list[str]:
    """Steps with the artifact among their inputs, newest first."""
    found = await connection.scalars(
        sa.select(step_input.c.step)
        .where(step_input.c.project == project, step_input.c.address == address(digest))
        .distinct()
        .order_by(step_input.c.step.desc())
        .limit(limit)
    )
    return list(found)


async def next_level(
    connection: AsyncConnection, project: str, steps: Sequence[str], *, up: bool, limit: int
) -> list[str]:
    """The steps that `steps` depend on (`up`), or that depend on them."""
    asked = {"project": project, "steps": list(steps), "most": limit}
    return list(await connection.scalars(_next(up), asked))


@cache
def _next(up: bool) -> sa.Select[tuple[str]]:
    """Built once: building it took longer than running it, and there is one for each level."""
    here, there = (step_dep.c.step, step_dep.c.dep) if up else (step_dep.c.dep, step_dep.c.step)
    # Its limit limits nothing. It keeps SQLite from reading every link of the project in the order
    # that is asked for, in place of the few of `steps`.
    near = (
        sa.select(there.label("there"))
        .where(step_dep.c.project == sa.bindparam("project"), here.in_(sa.bindparam("steps", expanding=True)))
        .limit(sa.literal_column(str(_ANY_NUMBER), sa.Integer))
        .subquery()
    )
    most = sa.bindparam("most", type_=sa.Integer)
    return sa.select(near.c.there).distinct().order_by(near.c.there.desc()).limit(most)


async def details(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[TracedStep]:
    """Name and outcome of `steps`."""
    found = await connection.execute(
        sa.select(step.c.id, step.c.run, step.c.name, step.c.outcome).where(
            step.c.project == project, step.c.id.in_(steps)
        )
    )
    return [TracedStep(*row) for row in found]


async def inputs(
    connection: AsyncConnection, project: str, steps: Sequence[str], *, limit: int
) -> list[TracedRef]:
    """What `steps` consumed."""
    return await _refs(connection, project, step_input, steps, limit)


async def outputs(
    connection: AsyncConnection, project: str, steps: Sequence[str], *, limit: int
) -> list[TracedRef]:
    """What `steps` produced; logs and other byproducts are left out."""
    return await _refs(connection, project, step_output, steps, limit)


async def _refs(
    connection: AsyncConnection, project: str, table: sa.Table, steps: Sequence[str], limit: int
) -> list[TracedRef]:
    same = sa.and_(artifact.c.project == table.c.project, artifact.c.address == table.c.address)
    uri = table.c.uri if "uri" in table.c else sa.literal("")
    asked = (
        sa.select(table.c.step, artifact.c.algorithm, artifact.c.digest, uri, table.c.name)
        .join(artifact, same)
        .where(table.c.project == project, table.c.step.in_(steps))
    )
    if table is step_output:
        asked = asked.where(step_output.c.role == Role.OUTPUT.value)
    found = await connection.execute(asked.order_by(table.c.step, table.c.name).limit(limit))
    return [TracedRef(row[0], Digest(row[1], row[2].hex()), row[3], row[4]) for row in found]
