"""Deriving which steps used what others made, for an index that is filled again.

While steps are recorded, `sealing.link` sees what was there at the time. Here everything is
there, so the order in which steps finished stands in its place: a step uses the newest earlier
producer of those that had finished when it did, and every earlier one that finished later.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.steps import Role
from artifacts.tables import step, step_dep, step_input, step_output

_MAX_LINKS = 1000
_PROJECT: sa.BindParameter[str] = sa.bindparam("_project")
_STEPS: sa.BindParameter[str] = sa.bindparam("_steps", expanding=True)


async def count_again(connection: AsyncConnection) -> None:
    """Let PostgreSQL count what was filed: it plans for the few rows that it knew of before.

    For four thousand steps that were filed in a moment, one call of `link_again` took longer
    than any statement may. Where the tables are somebody else's, it only warns.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(_COUNT)


_COUNT: Final = sa.text(f"ANALYZE {step}, {step_input}, {step_output}")


async def link_again(connection: AsyncConnection, project: str, steps: Sequence[str]) -> None:
    """Link `steps` of `project`; every step that may be linked to must be there."""
    asked = {"_project": project, "_steps": list(steps)}
    for statement in _links(connection.dialect.name):
        await connection.execute(statement, asked)


async def steps_after(connection: AsyncConnection, project: str, after: str, *, limit: int) -> list[str]:
    """The next finished steps of `project` in order of their ids."""
    found = await connection.scalars(
        sa.select(step.c.id)
        .where(step.c.project == project, step.c.id > after, step.c.finished_at.is_not(None))
        .order_by(step.c.id)
        .limit(limit)
    )
    return list(found)


@cache
def _links(dialect: str) -> tuple[sa.Insert, sa.Insert]:
    return _added(dialect, _newest_finished()), _added(dialect, _finished_later())


def _added(dialect: str, found: sa.Select[tuple[str, str, str]]) -> sa.Insert:
    adding = postgresql.insert(step_dep) if dialect == "postgresql" else sqlite.insert(step_dep)
    return adding.from_select(["project", "step", "dep"], found).on_conflict_do_nothing()


def _newest_finished() -> sa.Select[tuple[str, str, str]]:
    made, maker, user = step_output.alias(), step.alias(), step.alias()
    producer = (
        sa.select(made.c.step)
        .join(maker, sa.and_(maker.c.project == made.c.project, maker.c.id == made.c.step))
        .where(
            made.c.project == step_input.c.project,
            made.c.address == step_input.c.address,
            made.c.role == Role.OUTPUT.value,
            made.c.step < step_input.c.step,
            maker.c.finished_at <= user.c.finished_at,
        )
        .order_by(made.c.step.desc())
        .limit(1)
        .correlate(step_input, user)
        .scalar_subquery()
    )
    used = (
        sa.select(step_input.c.project, step_input.c.step, producer.label("dep"))
        .join(user, sa.and_(user.c.project == step_input.c.project, user.c.id == step_input.c.step))
        .where(step_input.c.project == _PROJECT, step_input.c.step.in_(_STEPS))
        .subquery()
    )
    return sa.select(used.c.project, used.c.step, used.c.dep).where(used.c.dep.is_not(None)).distinct()


def _finished_later() -> sa.Select[tuple[str, str, str]]:
    maker, user = step.alias(), step.alias()
    same = sa.and_(
        step_input.c.project == step_output.c.project, step_input.c.address == step_output.c.address
    )
    return (
        sa.select(step_input.c.project, step_input.c.step, step_output.c.step)
        .join_from(step_output, step_input, same)
        .join(maker, sa.and_(maker.c.project == step_output.c.project, maker.c.id == step_output.c.step))
        .join(user, sa.and_(user.c.project == step_input.c.project, user.c.id == step_input.c.step))
        .where(
            step_output.c.project == _PROJECT,
            step_output.c.step.in_(_STEPS),
            step_output.c.role == Role.OUTPUT.value,
            step_input.c.step > step_output.c.step,
            user.c.finished_at < maker.c.finished_at,
        )
        .distinct()
        .order_by(step_input.c.step, step_output.c.step)
        .limit(_MAX_LINKS)
    )
