"""Whole steps into the index, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries import facts
from artifacts.queries.dialect import insert_new
from artifacts.queries.products import input_values, output_values
from artifacts.queries.steps import enter
from artifacts.steps import Role, StepState
from artifacts.tables import run, step, step_input, step_output
from artifacts.whole import WholeStep


async def record(connection: AsyncConnection, project: str, wholes: Sequence[WholeStep], *, at: int) -> None:
    """Insert references, runs, steps, inputs and outputs of those `wholes` of `project` whose id is not known yet.

    What is known is left alone: the caller compares and answers. Must run inside the
    transaction that goes on to seal them.
    """
    new = await _unknown(connection, project, wholes)
    if not new:
        return
    refs = [(project, ref) for whole in new for ref in whole.references()]
    await facts.record_refs(connection, refs, at=at)
    await insert_new(connection, run, [_run(whole, at) for whole in new if whole.run is None])
    await insert_new(connection, step, [_step(whole, at) for whole in new])
    await enter(connection, project, [whole.step for whole in new], StepState.OPEN.value, at=at)
    inputs = [input_values(whole.project, whole.step, ref) for whole in new for ref in whole.inputs]
    inputs += [
        input_values(project, whole.step, whole.source, role=Role.SOURCE) for whole in new if whole.source
    ]
    await insert_new(connection, step_input, inputs)
    outputs = [output_values(whole.project, whole.step, item) for whole in new for item in whole.products]
    await insert_new(connection, step_output, outputs)


async def _unknown(connection: AsyncConnection, project: str, wholes: Sequence[WholeStep]) -> list[WholeStep]:
    ids = {whole.step: whole for whole in reversed(wholes)}
    found = sa.select(step.c.id).where(step.c.project == project, step.c.id.in_(list(ids)))
    known = set(await connection.scalars(found))
    return [whole for id_, whole in ids.items() if id_ not in known]


def _run(whole: WholeStep, at: int) -> dict[str, object]:
    return {
        "id": whole.step,
        "project": whole.project,
        "name": whole.name,
        "principal": whole.principal,
        "began_at": at,
    }


def _step(whole: WholeStep, at: int) -> dict[str, object]:
    return {
        "id": whole.step,
        "project": whole.project,
        "run": whole.run or whole.step,
        "name": whole.name,
        "principal": whole.principal,
        "state": StepState.OPEN.value,
        "began_at": at,
        "expires_at": at,
        "begun": whole.begun,
    }
