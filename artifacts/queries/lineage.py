"""Where a trace begins, and what the steps that it met touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.addresses import address
from artifacts.steps import Role
from artifacts.tables import artifact, step, step_input, step_output


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


async def details(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[TracedStep]:
    """Name and outcome of `steps`."""
    asked = {"project": project, "steps": list(steps)}
    found = await connection.execute(_DETAILS, asked)
    return [TracedStep(*row) for row in found]


_STEPS: Final[sa.BindParameter[Any]] = sa.bindparam("steps", expanding=True)
_DETAILS: Final = sa.select(step.c.id, step.c.run, step.c.name, step.c.outcome).where(
    step.c.project == sa.bindparam("project"), step.c.id.in_(_STEPS)
)


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
    asked = {"project": project, "steps": list(steps), "most": limit}
    found = await connection.execute(_touched(table), asked)
    return [TracedRef(row[0], Digest(row[1], row[2].hex()), row[3], row[4]) for row in found]


@cache
def _touched(table: sa.Table) -> sa.Select[Any]:  # Any: columns of several types
    same = sa.and_(artifact.c.project == table.c.project, artifact.c.address == table.c.address)
    uri = table.c.uri if "uri" in table.c else sa.literal("")
    asked = (
        sa.select(table.c.step, artifact.c.algorithm, artifact.c.digest, uri, table.c.name)
        .join(artifact, same)
        .where(table.c.project == sa.bindparam("project"), table.c.step.in_(_STEPS))
    )
    if table is step_output:
        asked = asked.where(step_output.c.role == Role.OUTPUT.value)
    # Written out: PostgreSQL plans a repeated statement once for all limits, and of one that it does
    # not know it believes that it ends early. So it read the whole project in order: 40 ms became 1.1 s.
    most = sa.bindparam("most", type_=sa.Integer, literal_execute=True)
    return asked.order_by(table.c.step, table.c.name).limit(most)
