"""What was signed: written by the signer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.addresses import address
from artifacts.queries.dialect import insert_new, insert_one
from artifacts.steps import StepState
from artifacts.tables import attestation, attestation_subject, step


@dataclass(frozen=True, slots=True)
class AttestationRow:
    """A signed statement: `digest` is that of its bundle's bytes."""

    project: str
    digest: Digest
    step: str
    builder_id: str
    predicate_type: str
    keyid: str
    record_digest: Digest
    signed_at: int


async def add(
    connection: AsyncConnection, row: AttestationRow, subjects: Sequence[Digest], *, bundle: bytes
) -> bool:
    """Decide for a statement; False where one stands for (step, builder).

    The step keeps `bundle` until `mark` says that its object is durable.
    """
    values = {
        "project": row.project,
        "digest": row.digest.raw,
        "step": row.step,
        "builder_id": row.builder_id,
        "predicate_type": row.predicate_type,
        "keyid": row.keyid,
        "record_digest": row.record_digest.raw,
        "signed_at": row.signed_at,
    }
    if not await insert_one(connection, attestation, values):
        return False
    about = [
        {"project": row.project, "address": address(digest), "attestation": row.digest.raw}
        for digest in subjects
    ]
    await insert_new(connection, attestation_subject, about)
    await connection.execute(
        sa.update(step).where(step.c.project == row.project, step.c.id == row.step).values(record=bundle)
    )
    return True


async def decided(
    connection: AsyncConnection, project: str, step_id: str, builder_id: str
) -> tuple[Digest, bytes] | None:
    """The statement that was decided for and whose object may not be there yet, and its bundle."""
    same = sa.and_(attestation.c.project == step.c.project, attestation.c.step == step.c.id)
    found = await connection.execute(
        sa.select(attestation.c.digest, step.c.record)
        .join(step, same)
        .where(
            step.c.project == project,
            step.c.id == step_id,
            step.c.record.is_not(None),
            attestation.c.builder_id == builder_id,
        )
    )
    row = found.one_or_none()
    return (Digest.sha256(row[0]), row[1]) if row else None


async def mark(connection: AsyncConnection, project: str, step_id: str, state: StepState) -> None:
    """Move a sealed step to `signed` or `refused`; a step already there stays."""
    await connection.execute(
        sa.update(step)
        .where(step.c.project == project, step.c.id == step_id, step.c.state == StepState.SEALED.value)
        .values(state=state.value, record=None)
    )


_STATE = sa.select(step.c.state).where(
    step.c.project == sa.bindparam("project"), step.c.id == sa.bindparam("step")
)


async def is_refused(connection: AsyncConnection, project: str, step_id: str) -> bool:
    """Whether the step is refused for ever."""
    return await connection.scalar(_STATE, {"project": project, "step": step_id}) == StepState.REFUSED


_COLUMNS = [attestation.c[name] for name in AttestationRow.__dataclass_fields__]


def _row(found: sa.Row[tuple[object, ...]]) -> AttestationRow:
    named = found._asdict()
    named["digest"] = Digest.sha256(named["digest"])
    named["record_digest"] = Digest.sha256(named["record_digest"])
    return AttestationRow(**named)


_OF_STEPS = (
    sa.select(*_COLUMNS)
    .where(
        attestation.c.project == sa.bindparam("project"),
        attestation.c.step.in_(sa.bindparam("steps", expanding=True)),
    )
    .order_by(attestation.c.signed_at, attestation.c.digest)
)


async def of_steps(connection: AsyncConnection, project: str, steps: Sequence[str]) -> list[AttestationRow]:
    """The statements about what `steps` did."""
    found = await connection.execute(_OF_STEPS, {"project": project, "steps": list(steps)})
    return [_row(row) for row in found]


async def about(
    connection: AsyncConnection, project: str, digest: Digest, *, limit: int
) -> list[AttestationRow]:
    """The statements whose subject is the artifact `digest`, newest first."""
    same = sa.and_(
        attestation.c.project == attestation_subject.c.project,
        attestation.c.digest == attestation_subject.c.attestation,
    )
    found = await connection.execute(
        sa.select(*_COLUMNS)
        .join(attestation_subject, same)
        .where(attestation_subject.c.project == project, attestation_subject.c.address == address(digest))
        .order_by(attestation.c.signed_at.desc(), attestation.c.digest)
        .limit(limit)
    )
    return [_row(row) for row in found]


async def find(connection: AsyncConnection, project: str, digest: Digest) -> AttestationRow | None:
    """The statement whose bundle has `digest`, if it belongs to `project`."""
    found = await connection.execute(
        sa.select(*_COLUMNS).where(attestation.c.project == project, attestation.c.digest == digest.raw)
    )
    row = found.one_or_none()
    return _row(row) if row else None
