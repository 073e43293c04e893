"""From the decision to seal a step until its record is durable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.layout import Key
from artifacts.limits import MAX_INTEGER, MAX_RECORD_BYTES
from artifacts.steps import Role, StepState
from artifacts.tables import step, step_dep, step_input, step_output

_MAX_LINKS = 1000
_PROJECT: sa.BindParameter[str] = sa.bindparam("_project")
_STEPS: sa.BindParameter[str] = sa.bindparam("_steps", expanding=True)


@dataclass(frozen=True, slots=True)
class Line:
    """A record that waits for its segment."""

    project: str
    step: str
    finished_at: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed record lies; never more than one record's worth of bytes."""

    segment: Key
    start: int
    length: int
    digest: Digest

    def __post_init__(self) -> None:
        if not (0 <= self.start <= MAX_INTEGER and 0 <= self.length <= MAX_RECORD_BYTES):
            raise InvalidInputError("no record lies there", start=self.start, length=self.length)


@dataclass(frozen=True, slots=True)
class Decision:
    """A record, and what the finish that closed its step said."""

    line: Line
    outcome: str
    finished: str


_DECIDE = (
    sa.update(step)
    .where(step.c.project == sa.bindparam("_project"), step.c.id == sa.bindparam("_id"))
    .values(
        state=StepState.SEALING.value,
        outcome=sa.bindparam("_outcome"),
        finished=sa.bindparam("_finished"),
        finished_at=sa.bindparam("_finished_at"),
        record=sa.bindparam("_record"),
        record_digest=sa.bindparam("_digest"),
    )
)


async def decide(connection: AsyncConnection, decisions: Sequence[Decision]) -> None:
    """Close the steps and keep the bytes of their records: from here on they will be sealed."""
    rows = [
        {
            "_project": one.line.project,
            "_id": one.line.step,
            "_outcome": one.outcome,
            "_finished": one.finished,
            "_finished_at": one.line.finished_at,
            "_record": one.line.line,
            "_digest": Digest.of(one.line.line).raw,
        }
        for one in decisions
    ]
    if rows:
        await connection.execute(_DECIDE, rows)


async def sealed(connection: AsyncConnection, project: str, places: Sequence[tuple[str, Place]]) -> None:
    """Note where the records of steps lie; the bytes in the row have served."""
    statement = (
        sa.update(step)
        .where(
            step.c.project == project,
            step.c.id == sa.bindparam("_id"),
            step.c.state == StepState.SEALING.value,
        )
        .values(
            state=StepState.SEALED.value,
            record=None,
            segment=sa.bindparam("_segment"),
            segment_start=sa.bindparam("_start"),
            segment_length=sa.bindparam("_length"),
        )
    )
    rows = [
        {"_id": id_, "_segment": str(place.segment), "_start": place.start, "_length": place.length}
        for id_, place in places
    ]
    await connection.execute(statement, rows)


async def left_sealing(connection: AsyncConnection, *, before: int, limit: int) -> list[Line]:
    """Records decided before `before` whose segment never came: a crash left them."""
    found = await connection.execute(
        sa.select(step.c.project, step.c.id, step.c.finished_at, step.c.record)
        .where(step.c.state == StepState.SEALING.value, step.c.finished_at < before)
        .order_by(step.c.id)
        .limit(limit)
    )
    return [Line(*row) for row in found]


async def still_sealing(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[Line]:
    """Those of `steps` that are decided and whose segment is not known to be durable."""
    found = await connection.execute(
        sa.select(step.c.project, step.c.id, step.c.finished_at, step.c.record).where(
            step.c.project == project, step.c.id.in_(steps), step.c.state == StepState.SEALING.value
        )
    )
    return [Line(*row) for row in found]


async def place_of(connection: AsyncConnection, project: str, step_id: str) -> Place | None:
    """Where the record of a step lies, once it is sealed.

    Raises:
        InvalidInputError: the row says so in a way that nobody here writes.
    """
    found = await connection.execute(
        sa.select(step.c.segment, step.c.segment_start, step.c.segment_length, step.c.record_digest).where(
            step.c.project == project, step.c.id == step_id, step.c.segment.is_not(None)
        )
    )
    row = found.one_or_none()
    return _place(*row) if row else None


def _place(segment: object, start: object, length: object, digest: object) -> Place:
    # The signer asks, and it trusts no row: not even that its columns hold what they are for.
    match segment, start, length, digest:
        case str(), int(), int(), bytes():
            return Place(Key(segment), start, length, Digest.sha256(digest))
    raise InvalidInputError("the row does not say where the record lies")


async def link(connection: AsyncConnection, project: str, steps: Sequence[str]) -> None:
    """Derive which steps used what others made, for steps just finished.

    Each input links to the newest earlier producer of the same bytes: popular bytes (an
    empty file, a licence) have thousands, and all of them would say no more. Consumers
    that were recorded before their producer (a client that was offline) are found from
    the producer's side.
    """
    asked = {"_project": project, "_steps": list(steps)}
    for statement in _links(connection.dialect.name):
        await connection.execute(statement, asked)


@cache
def _links(dialect: str) -> tuple[sa.Insert, sa.Insert]:
    """The two statements of `link`, built once: building them cost more than running them."""
    return _added(dialect, _early()), _added(dialect, _late())


def _added(dialect: str, found: sa.Select[tuple[str, str, str]]) -> sa.Insert:
    adding = postgresql.insert(step_dep) if dialect == "postgresql" else sqlite.insert(step_dep)
    return adding.from_select(["project", "step", "dep"], found).on_conflict_do_nothing()


def _early() -> sa.Select[tuple[str, str, str]]:
    made = step_output.alias()
    producer = (
        sa.select(made.c.step)
        .where(
            made.c.project == step_input.c.project,
            made.c.address == step_input.c.address,
            made.c.role == Role.OUTPUT.value,
            made.c.step < step_input.c.step,
        )
        .order_by(made.c.step.desc())
        .limit(1)
        .scalar_subquery()
    )
    used = (
        sa.select(step_input.c.project, step_input.c.step, producer.label("dep"))
        .where(step_input.c.project == _PROJECT, step_input.c.step.in_(_STEPS))
        .subquery()
    )
    return sa.select(used.c.project, used.c.step, used.c.dep).where(used.c.dep.is_not(None)).distinct()


def _late() -> sa.Select[tuple[str, str, str]]:
    same = sa.and_(
        step_input.c.project == step_output.c.project, step_input.c.address == step_output.c.address
    )
    return (
        sa.select(step_input.c.project, step_input.c.step, step_output.c.step)
        .join(step_output, same)
        .where(
            step_output.c.project == _PROJECT,
            step_output.c.step.in_(_STEPS),
            step_output.c.role == Role.OUTPUT.value,
            step_input.c.step > step_output.c.step,
        )
        .distinct()
        .limit(_MAX_LINKS)
    )
