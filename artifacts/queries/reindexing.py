"""Filling an index from what lies in the bucket: everything may be filed again and again.

What an index knows already stays or moves forward, never back: an older copy of an index is
mended by the same statements that fill an empty one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.dialect import Insert, insert_new, insert_or_renew, slices
from artifacts.queries.queue import enqueue
from artifacts.queries.sealing import Place
from artifacts.record_rows import Members, RecordRows, Row, begun, finished, moment
from artifacts.steps import StepState
from artifacts.tables import (
    artifact,
    attestation,
    attestation_subject,
    digest_alias,
    project,
    queue,
    reference,
    run,
    step,
    step_input,
    step_ledger,
    step_output,
)


@dataclass(frozen=True, slots=True)
class StatedBy:
    """A signed statement about a step."""

    digest: bytes
    builder_id: str
    predicate_type: str
    keyid: str
    subjects: tuple[bytes, ...]
    signed_at: int

    def not_before(self, moment_: int) -> StatedBy:
        """The same, signed no earlier than then: a copied object says when it was copied."""
        return replace(self, signed_at=max(self.signed_at, moment_))


@dataclass(frozen=True, slots=True)
class Filed:
    """A sealed record and what is known of its evidence."""

    members: Members
    place: Place
    sealed_at: int
    statements: tuple[StatedBy, ...] = ()
    state: StepState = StepState.SEALED
    reason: str | None = None
    """Why the step is refused, or waits."""
    ended_at: int | None = None
    """When it was refused."""


async def file_records(
    connection: AsyncConnection, records: Sequence[Filed], *, sign: str, now: int
) -> list[StatedBy]:
    """Write all rows of `records`; those that wait for the signer are put on the queue `sign`.

    Returns statements that were left out: another one stands for the same step and builder.
    """
    await add_projects(connection, {one.members["project"] for one in records}, at=now)
    rows = RecordRows()
    for one in records:
        rows.touch(one.members, now=now)
    await name(connection, rows)
    await insert_new(connection, run, _runs(records))
    await insert_or_renew(connection, step, [_step(one) for one in records], _forward)
    await insert_new(connection, step_input, rows.inputs)
    await insert_new(connection, step_output, rows.outputs)
    await insert_or_renew(
        connection, step_ledger, [row for one in records for row in _ledger(one)], _reason_again
    )
    await insert_new(connection, attestation, [row for one in records for row in _attestations(one)])
    stated = [statement for one in records for statement in one.statements]
    standing = await known_statements(connection, [statement.digest for statement in stated])
    about = [row for one in records for row in _subjects(one) if row["attestation"] in standing]
    await insert_new(connection, attestation_subject, about)
    waiting = [one for one in records if one.state is StepState.SEALED and one.reason is None]
    jobs = [(one.members["project"], sign, one.members["step"]) for one in waiting]
    await enqueue(connection, jobs, available_at=now)
    return [statement for statement in stated if statement.digest not in standing]


_FILING = ("-", "reindex", "under way")


async def begin_filing(connection: AsyncConnection, *, now: int) -> None:
    """Note that the index is being filled: until that has ended it does not say what nobody needs."""
    await enqueue(connection, [_FILING], available_at=now)


async def end_filing(connection: AsyncConnection) -> None:
    """Note that the index is filled."""
    await connection.execute(sa.delete(queue).where(_is_filing()))


async def is_filing(connection: AsyncConnection) -> bool:
    """Whether the index is being filled, or its filling was cut off."""
    return await connection.scalar(sa.select(sa.literal(1)).where(_is_filing())) is not None


def _is_filing() -> sa.ColumnElement[bool]:
    return sa.tuple_(queue.c.project, queue.c.kind, queue.c.topic) == _FILING


async def known_statements(connection: AsyncConnection, digests: Sequence[bytes]) -> set[bytes]:
    """Those of `digests` that are statements the index has."""
    known: set[bytes] = set()
    for some in slices(digests):
        found = sa.select(attestation.c.digest).where(attestation.c.digest.in_(some))
        known.update(await connection.scalars(found))
    return known


async def add_projects(connection: AsyncConnection, names: Collection[str], *, at: int) -> None:
    """Make those projects that are not there."""
    await insert_new(connection, project, [{"name": name, "created_at": at} for name in sorted(names)])


async def name(connection: AsyncConnection, rows: RecordRows) -> None:
    """Write artifacts, their other digests and their names; the earliest naming counts."""
    await insert_new(connection, artifact, [rows.artifacts[key] for key in sorted(rows.artifacts)])
    await insert_new(connection, digest_alias, [rows.aliases[key] for key in sorted(rows.aliases)])
    named = [rows.references[key] for key in sorted(rows.references)]
    await insert_or_renew(connection, reference, named, _earlier)


def _earlier(adding: Insert) -> Insert:
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=["project", "address", "uri", "name"],
        set_={"recorded_at": new.recorded_at, "media_type": new.media_type},
        where=reference.c.recorded_at > new.recorded_at,
    )


def _runs(records: Sequence[Filed]) -> list[Row]:
    """The runs of `records` that no journal file told of; those that a step made have its name."""
    rows: dict[tuple[str, str], Row] = {}
    for one in records:
        record = one.members
        own = record["run"] == record["step"]
        rows.setdefault(
            (record["project"], record["run"]),
            {
                "project": record["project"],
                "id": record["run"],
                "name": record["name"] if own else record["run"],
                "principal": record["principal"],
                "began_at": moment(record["began_at"]),
            },
        )
    return [rows[key] for key in sorted(rows)]


def _step(one: Filed) -> Row:
    record = one.members
    return {
        "project": record["project"],
        "id": record["step"],
        "run": record["run"],
        "name": record["name"],
        "principal": record["principal"],
        "state": one.state.value,
        "outcome": record["outcome"],
        "began_at": moment(record["began_at"]),
        # Its token was for an open step, and is known no more.
        "expires_at": moment(record["finished_at"]),
        "finished_at": moment(record["finished_at"]),
        "begun": begun(record),
        "finished": finished(record),
        "record_digest": one.place.digest.raw,
        "segment": str(one.place.segment),
        "segment_start": one.place.start,
        "segment_length": one.place.length,
    }


_SEALED_AS = (
    "state",
    "outcome",
    "finished_at",
    "record_digest",
    "segment",
    "segment_start",
    "segment_length",
)
_SIGNED: sa.ColumnClause[str] = sa.literal_column(f"'{StepState.SIGNED}'")
_REFUSED: sa.ColumnClause[str] = sa.literal_column(f"'{StepState.REFUSED}'")


def _forward(adding: Insert) -> Insert:
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=["project", "id"],
        set_={**{column: new[column] for column in _SEALED_AS}, "record": sa.null()},
        where=sa.and_(
            step.c.state != _SIGNED,
            sa.or_(step.c.state != _REFUSED, new.state == _SIGNED),
        ),
    )


def _ledger(one: Filed) -> list[Row]:
    record = one.members
    entered: list[tuple[StepState, int, str | None]] = [
        (StepState.OPEN, moment(record["began_at"]), None),
        (StepState.SEALED, one.sealed_at, one.reason if one.state is StepState.SEALED else None),
    ]
    if one.statements:
        entered.append((StepState.SIGNED, max(stated.signed_at for stated in one.statements), None))
    elif one.ended_at is not None:
        entered.append((StepState.REFUSED, one.ended_at, one.reason))
    return [
        {
            "project": record["project"],
            "step": record["step"],
            "state": state.value,
            "at": at,
            "reason": reason,
        }
        for state, at, reason in entered
    ]


def _reason_again(adding: Insert) -> Insert:
    return adding.on_conflict_do_update(
        index_elements=["project", "step", "state"], set_={"reason": adding.excluded.reason}
    )


def _attestations(one: Filed) -> list[Row]:
    record = one.members
    return [
        {
            "project": record["project"],
            "digest": stated.digest,
            "step": record["step"],
            "builder_id": stated.builder_id,
            "predicate_type": stated.predicate_type,
            "keyid": stated.keyid,
            "record_digest": one.place.digest.raw,
            "signed_at": stated.signed_at,
        }
        for stated in one.statements
    ]


def _subjects(one: Filed) -> list[Row]:
    owner = one.members["project"]
    return [
        {"project": owner, "address": subject, "attestation": stated.digest}
        for stated in one.statements
        for subject in dict.fromkeys(stated.subjects)
    ]
