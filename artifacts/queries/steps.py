"""Runs and steps: begin, add, look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import from_milliseconds, to_milliseconds
from artifacts.errors import ForbiddenError, NotFoundError, StepFinishedError
from artifacts.queries.dialect import insert_new, insert_one, locked
from artifacts.steps import Run, StepState
from artifacts.tables import run, step, step_ledger


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as the index knows it."""

    id: str
    project: str
    run: str
    name: str
    principal: str
    state: str
    outcome: str | None
    token_hash: bytes | None
    began_at: int
    expires_at: int
    finished_at: int | None
    begun: str
    finished: str | None
    record_digest: bytes | None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A state a step has entered, and what holds it there."""

    state: str
    at: int
    reason: str | None


_COLUMNS = [step.c[name] for name in StepRow.__dataclass_fields__]


async def begin_run(connection: AsyncConnection, new: Run, *, found_by: str | None) -> bool:
    """Remember a run; return whether it was new."""
    row = {
        "id": new.id,
        "project": new.project,
        "name": new.name,
        "found_by": found_by,
        "principal": new.principal,
        "began_at": to_milliseconds(new.began_at),
    }
    return await insert_one(connection, run, row)


async def find_run(
    connection: AsyncConnection, project: str, *, id_: str | None = None, found_by: str | None = None
) -> Run | None:
    """The run with this id or findable name in `project`."""
    same = run.c.id == id_ if id_ is not None else run.c.found_by == found_by
    found = await connection.execute(
        sa.select(run.c.id, run.c.project, run.c.name, run.c.principal, run.c.began_at).where(
            run.c.project == project, same
        )
    )
    row = found.one_or_none()
    return Run(row.id, row.project, row.name, row.principal, from_milliseconds(row.began_at)) if row else None


_RUNS = sa.select(run.c.id, run.c.principal).where(
    run.c.project == sa.bindparam("project"), run.c.id.in_(sa.bindparam("ids", expanding=True))
)


async def who_began(connection: AsyncConnection, project: str, ids: Sequence[str]) -> dict[str, str]:
    """The principals of those of the runs `ids` that `project` has."""
    if not ids:
        return {}
    found = await connection.execute(_RUNS, {"project": project, "ids": ids})
    return {row.id: row.principal for row in found}


async def begin_step(connection: AsyncConnection, new: StepRow) -> bool:
    """Remember a step that begins; return whether it was new."""
    row = {name: getattr(new, name) for name in StepRow.__dataclass_fields__}
    added = await insert_one(connection, step, row)
    if added:
        await enter(connection, new.project, [new.id], new.state, at=new.began_at)
    return added


_STEPS = (
    sa.select(*_COLUMNS)
    .where(step.c.project == sa.bindparam("project"), step.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(step.c.id)
)
"""Built once, like other statements of the hot path: making one costs as much as running it."""


async def find_steps(connection: AsyncConnection, project: str, ids: Sequence[str]) -> dict[str, StepRow]:
    """Those of the steps `ids` that `project` has; where the transaction may write, they stay as found."""
    found = await connection.execute(locked(connection, _STEPS), {"project": project, "ids": ids})
    return {row.id: StepRow(*row) for row in found}


async def find_step(connection: AsyncConnection, project: str, step_id: str) -> StepRow:
    """The step `step_id` of `project`.

    Raises:
        NotFoundError: there is none.
    """
    found = await find_steps(connection, project, [step_id])
    if step_id not in found:
        raise NotFoundError("there is no such step", step=step_id)
    return found[step_id]


async def open_step(connection: AsyncConnection, project: str, step_id: str, *, principal: str) -> StepRow:
    """As `find_step`, and `principal` can still add to it.

    Raises:
        NotFoundError: there is none.
        ForbiddenError: somebody else began it.
        StepFinishedError: it is sealed or being sealed.
    """
    row = await find_step(connection, project, step_id)
    if row.principal != principal:
        raise ForbiddenError("that step was begun by somebody else", step=step_id)
    if row.state != StepState.OPEN:
        raise StepFinishedError(
            "the step is finished and takes nothing more",
            hint="begin a new step",
            step=step_id,
            state=row.state,
        )
    return row


async def expired(connection: AsyncConnection, *, now: int, limit: int) -> list[tuple[str, str]]:
    """(project, step) of open steps whose token has expired."""
    found = await connection.execute(
        sa.select(step.c.project, step.c.id)
        .where(step.c.state == StepState.OPEN, step.c.expires_at <= now)
        .order_by(step.c.expires_at)
        .limit(limit)
    )
    return [(project, id_) for project, id_ in found]


async def enter(
    connection: AsyncConnection,
    project: str,
    steps: Sequence[str],
    state: str,
    *,
    at: int,
    reason: str | None = None,
) -> None:
    """Note in the ledger that each of `steps` entered `state`; the first time counts."""
    rows = [{"project": project, "step": id_, "state": state, "at": at, "reason": reason} for id_ in steps]
    await insert_new(connection, step_ledger, rows)


async def explain(
    connection: AsyncConnection, project: str, step_id: str, state: str, *, reason: str | None
) -> None:
    """Say in the ledger what holds a step in `state`."""
    await connection.execute(
        sa.update(step_ledger)
        .where(
            step_ledger.c.project == project,
            step_ledger.c.step == step_id,
            step_ledger.c.state == state,
        )
        .values(reason=reason)
    )


_LEDGERS = sa.select(step_ledger.c.step, step_ledger.c.state, step_ledger.c.at, step_ledger.c.reason).where(
    step_ledger.c.project == sa.bindparam("project"),
    step_ledger.c.step.in_(sa.bindparam("steps", expanding=True)),
)
_ORDER = list(StepState)


async def ledgers(
    connection: AsyncConnection, project: str, ids: Sequence[str]
) -> dict[str, list[LedgerRow]]:
    """The states each of the steps `ids` has entered, in order."""
    rows: dict[str, list[LedgerRow]] = {id_: [] for id_ in ids}
    for step_id, *entered in await connection.execute(_LEDGERS, {"project": project, "steps": list(ids)}):
        rows[step_id].append(LedgerRow(*entered))
    for entries in rows.values():
        entries.sort(key=lambda row: (row.at, _ORDER.index(StepState(row.state))))
    return rows
