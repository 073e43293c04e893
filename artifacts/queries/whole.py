"""Whole steps into the index, a batch at a time."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries import facts
from artifacts.queries.dialect import insert_new
from artifacts.queries.products import Consumed, Produced, Touched, input_values, output_values
from artifacts.queries.sealing import Decision
from artifacts.queries.steps import StepRow, enter
from artifacts.queries.written import Row, run_for_each
from artifacts.steps import Role, StepState
from artifacts.tables import run, step, step_input, step_output
from artifacts.whole import WholeStep


@dataclass(frozen=True, slots=True)
class Taken:
    """A whole step nobody had recorded, as the rows that it becomes."""

    whole: WholeStep
    row: StepRow
    inputs: Sequence[Row]
    outputs: Sequence[Row]

    @classmethod
    def of(cls, whole: WholeStep, *, at: int) -> Taken:
        """The rows of `whole`, taken in at the moment `at`."""
        inputs = [input_values(whole.project, whole.step, ref) for ref in whole.inputs]
        outputs = [output_values(whole.project, whole.step, product) for product in whole.products]
        return cls(whole, _row(whole, at), inputs, outputs)

    def touched(self) -> Touched:
        """What the step consumed and produced, in the order in which the index would tell it."""
        consumed = sorted(self.inputs, key=lambda row: (row["uri"], row["name"], row["address"]))
        produced = sorted(self.outputs, key=lambda row: row["name"])
        step_id = self.whole.step
        return Touched(
            [Consumed(step_id, row["body"]) for row in consumed],
            [Produced(step_id, row["role"], row["body"], row["size"], row["received"]) for row in produced],
        )


async def record(
    connection: AsyncConnection,
    taken: Sequence[tuple[Taken, Decision]],
    *,
    runs: Container[tuple[str, str]],
    at: int,
) -> None:
    """Insert references, runs, inputs and outputs of steps, and the steps themselves as decided.

    A step whose id is known by now, or that of a run beyond `runs`, fails the transaction:
    somebody was faster, and whose the run is has to be looked at.
    """
    wholes = [one.whole for one, _ in taken]
    refs = [(whole.project, ref) for whole in wholes for ref in whole.references()]
    await facts.record_refs(connection, refs, at=at)
    alone = [whole for whole in wholes if whole.run is None and (whole.project, whole.step) not in runs]
    await run_for_each(connection, _BEGUN, [_run(whole, at) for whole in alone])
    await run_for_each(connection, _DECIDED, [_decided(*one) for one in taken])
    for project in sorted({whole.project for whole in wholes}):
        mine = [whole.step for whole in wholes if whole.project == project]
        await enter(connection, project, mine, StepState.OPEN.value, at=at)
    sources = [
        input_values(whole.project, whole.step, whole.source, role=Role.SOURCE)
        for whole in wholes
        if whole.source
    ]
    consumed = [row for one, _ in taken for row in one.inputs]
    await insert_new(connection, step_input, [*consumed, *sources])
    await insert_new(connection, step_output, [row for one, _ in taken for row in one.outputs])


def _run(whole: WholeStep, at: int) -> Row:
    return {
        "id": whole.step,
        "project": whole.project,
        "name": whole.name,
        "principal": whole.principal,
        "began_at": at,
    }


def _row(whole: WholeStep, at: int) -> StepRow:
    return StepRow(
        id=whole.step,
        project=whole.project,
        run=whole.run or whole.step,
        name=whole.name,
        principal=whole.principal,
        state=StepState.OPEN.value,
        outcome=None,
        token_hash=None,
        began_at=at,
        expires_at=at,
        finished_at=None,
        begun=whole.begun,
        finished=None,
        record_digest=None,
    )


_BEGUN = sa.insert(run).values(
    {name: sa.bindparam(name) for name in ("id", "project", "name", "principal", "began_at")}
)

_DECIDED = sa.insert(step).values(
    {
        **{
            name: sa.bindparam(name)
            for name in (
                "project",
                "id",
                "run",
                "name",
                "principal",
                "outcome",
                "began_at",
                "expires_at",
                "finished_at",
                "begun",
                "finished",
                "record",
                "record_digest",
            )
        },
        "state": sa.literal_column(f"'{StepState.SEALING.value}'"),
    }
)


def _decided(taken: Taken, decision: Decision) -> Row:
    row = taken.row
    return {
        "project": row.project,
        "id": row.id,
        "run": row.run,
        "name": row.name,
        "principal": row.principal,
        "outcome": decision.outcome,
        "began_at": row.began_at,
        "expires_at": row.expires_at,
        "finished_at": decision.line.finished_at,
        "begun": row.begun,
        "finished": decision.finished,
        "record": decision.line.line,
        "record_digest": decision.digest,
    }
