"""From the decision to seal a step until its record is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.layout import Key
from artifacts.limits import MAX_BATCH, MAX_INPUTS, MAX_INTEGER, MAX_RECORD_BYTES
from artifacts.queries.written import run_for_each
from artifacts.steps import Role, StepState
from artifacts.tables import step, step_dep, step_input, step_output

_MAX_LINKS = 1000
_PROJECT: sa.BindParameter[str] = sa.bindparam("_project")
_SEALING = sa.literal_column(f"'{StepState.SEALING.value}'", sa.Text)
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
    digest: bytes
    """The sha256 of the record."""

    @classmethod
    def of(cls, line: Line, outcome: str, finished: str) -> Decision:
        """The decision for `line`."""
        return cls(line, outcome, finished, hashlib.sha256(line.line).digest())


_DECIDE = (
    sa.update(step)
    .where(
        step.c.project == sa.bindparam("_project"),
        step.c.id == sa.bindparam("_id"),
        # Whoever decides holds the row (`find_steps`), so this changes nothing; it is here for
        # whoever forgets to: a step is decided for once.
        step.c.state == sa.literal_column(f"'{StepState.OPEN}'"),
    )
    .values(
        state=_SEALING,
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
            "_digest": one.digest,
        }
        for one in decisions
    ]
    await run_for_each(connection, _DECIDE, rows)


_SEALED = (
    sa.update(step)
    .where(
        step.c.project == sa.bindparam("_project"),
        step.c.id == sa.bindparam("_id"),
        step.c.state == _SEALING,
    )
    .values(
        state=sa.literal_column(f"'{StepState.SEALED.value}'"),
        record=sa.null(),
        segment=sa.bindparam("_segment"),
        segment_start=sa.bindparam("_start"),
        segment_length=sa.bindparam("_length"),
    )
)


async def sealed(connection: AsyncConnection, project: str, places: Sequence[tuple[str, Place]]) -> None:
    """Note where the records of steps lie; the bytes in the row have served."""
    rows = [
        {
            "_project": project,
            "_id": id_,
            "_segment": str(place.segment),
            "_start": place.start,
            "_length": place.length,
        }
        for id_, place in places
    ]
    await run_for_each(connection, _SEALED, rows)


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
def _links(dialect: str) -> tuple[sa.Executable, sa.Executable]:
    """The two statements of `link`, built once: building them cost more than running them."""
    adding = postgresql.insert(step_dep) if dialect == "postgresql" else sqlite.insert(step_dep)
    early = adding.from_select(["project", "step", "dep"], _early()).on_conflict_do_nothing()
    return early, _LATE


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
    # The limit is more than any batch has. It keeps SQLite from looking for each producer twice:
    # once to see whether there is one, once to name it.
    used = (
        sa.select(step_input.c.project, step_input.c.step, producer.label("dep"))
        .where(step_input.c.project == _PROJECT, step_input.c.step.in_(_STEPS))
        .limit(MAX_BATCH * MAX_INPUTS * 2)
        .subquery()
    )
    return sa.select(used.c.project, used.c.step, used.c.dep).where(used.c.dep.is_not(None)).distinct()


# CROSS JOIN, because SQLite takes the tables of one in the order they are written. Left to
# choose, it reads every input of the project and asks for each who made it.
_LATE = sa.text("""
    INSERT INTO step_dep (project, step, dep)
    SELECT DISTINCT used.project, used.step, made.step
    FROM step_output AS made CROSS JOIN step_input AS used
    WHERE made.project = :_project AND made.step IN :_steps AND made.role = :_role
        AND used.project = made.project AND used.address = made.address AND used.step > made.step
    LIMIT :_most
    ON CONFLICT DO NOTHING
""").bindparams(_STEPS, _role=Role.OUTPUT.value, _most=_MAX_LINKS)
