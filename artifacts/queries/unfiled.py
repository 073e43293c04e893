"""What the last reindex saw in the bucket and left out: no news to whoever compares index and bucket."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.dialect import insert_new, slices
from artifacts.tables import attestation, project, unfiled_segment, unfiled_statement


@dataclass(frozen=True, slots=True, order=True)
class About:
    """Which record of which step a statement is about, and who states it."""

    step: str
    builder_id: str
    record_digest: bytes


async def keep(
    connection: AsyncConnection, *, segments: Collection[str], statements: Collection[About]
) -> None:
    """Remember what was left out, in the place of what was before."""
    await connection.execute(sa.delete(unfiled_segment))
    await connection.execute(sa.delete(unfiled_statement))
    await insert_new(connection, unfiled_segment, [{"segment": name} for name in sorted(segments)])
    await insert_new(connection, unfiled_statement, [asdict(one) for one in sorted(statements)])


async def known_segments(connection: AsyncConnection, names: Sequence[str]) -> set[str]:
    """Those of `names` that were left out."""
    known: set[str] = set()
    for some in slices(names):
        found = sa.select(unfiled_segment.c.segment).where(unfiled_segment.c.segment.in_(some))
        known.update(await connection.scalars(found))
    return known


async def is_known(connection: AsyncConnection, about: About) -> bool:
    """Whether a statement about just this stands, or was left out."""
    columns = attestation.c
    # Over the projects, of which there are few: statements are found by project, step and builder.
    stands = (
        sa.select(sa.literal(1))
        .join_from(project, attestation, columns.project == project.c.name)
        .where(
            columns.step == about.step,
            columns.builder_id == about.builder_id,
            columns.record_digest == about.record_digest,
        )
    )
    left = sa.select(sa.literal(1)).where(
        unfiled_statement.c.step == about.step,
        unfiled_statement.c.builder_id == about.builder_id,
        unfiled_statement.c.record_digest == about.record_digest,
    )
    return await connection.scalar(stands.union_all(left).limit(1)) is not None


_OF_STEP = (
    sa.select(sa.literal(1))
    .where(
        unfiled_statement.c.step == sa.bindparam("step"),
        unfiled_statement.c.builder_id == sa.bindparam("builder_id"),
    )
    .limit(1)
)


async def is_stated(connection: AsyncConnection, step: str, builder_id: str) -> bool:
    """Whether a statement of this step and builder lies in the bucket that the index could not file."""
    return await connection.scalar(_OF_STEP, {"step": step, "builder_id": builder_id}) is not None
