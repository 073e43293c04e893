"""What is known of a digest that is to be purged, and lifting the bar that a purge leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.control import BLOB
from artifacts.digest import Digest
from artifacts.queries import queue
from artifacts.queries.removals import RemovalState
from artifacts.tables import hold, location, pack, receipt, tombstone
from artifacts.tables import queue as jobs

PURGE: Final = "purge"
"""The queue of purges to be ended; a topic is hex and what the operator said."""
LIFTED: Final = "lifted"


async def is_stored(connection: AsyncConnection, project: str, digest: Digest) -> bool:
    """Whether the project has these bytes, as a blob or in a pack."""
    known = [
        sa.exists().where(table.c.project == project, table.c.digest == digest.raw)
        for table in (receipt, location, pack)
    ]
    return bool(await connection.scalar(sa.select(sa.or_(*known))))


async def held_among(connection: AsyncConnection, project: str, digests: Sequence[Digest]) -> list[Digest]:
    """Those of `digests` on which a hold is."""
    found = await connection.scalars(
        sa.select(hold.c.digest).where(
            hold.c.project == project, hold.c.digest.in_([digest.raw for digest in digests])
        )
    )
    return sorted(Digest.sha256(raw) for raw in found)


async def begin(connection: AsyncConnection, project: str, digest: Digest, reason: str, *, at: int) -> None:
    """Remember that this is to be purged; a worker does so after `at`, if it is not done by then."""
    await queue.enqueue_again(connection, [(project, PURGE, _topic(digest, reason))], available_at=at)


async def end(connection: AsyncConnection, project: str, digest: Digest, reason: str) -> None:
    """Note that it is done, whoever was to do it."""
    await connection.execute(
        sa.delete(jobs).where(
            jobs.c.project == project, jobs.c.kind == PURGE, jobs.c.topic == _topic(digest, reason)
        )
    )


def _topic(digest: Digest, reason: str) -> str:
    return f"{digest.hex}/{reason}"


def named_by(topic: str) -> tuple[Digest, str]:
    """The digest and the words of a topic."""
    hex_, _, reason = topic.partition("/")
    return Digest("sha256", hex_), reason


async def barred_with(connection: AsyncConnection, project: str, details: Sequence[str]) -> list[Digest]:
    """What was barred for one of the reasons `details`."""
    found = await connection.scalars(
        sa.select(tombstone.c.digest).where(
            tombstone.c.project == project,
            tombstone.c.kind == BLOB,
            tombstone.c.barred,
            tombstone.c.detail.in_(details),
        )
    )
    return sorted(Digest.sha256(raw) for raw in found)


async def lift(
    connection: AsyncConnection, project: str, digest: Digest, reason: str, *, at: int
) -> int | None:
    """Take these bytes in again from now on; the generation that says so, or None where no bar is or it is early."""
    generation: int | None = await connection.scalar(
        sa.update(tombstone)
        .where(
            tombstone.c.project == project,
            tombstone.c.kind == BLOB,
            tombstone.c.digest == digest.raw,
            tombstone.c.barred,
            tombstone.c.state == RemovalState.GONE.value,
        )
        .values(
            barred=False,
            generation=tombstone.c.generation + 1,
            reason=LIFTED,
            detail=reason,
            decided_at=at,
            gone_at=at,
            attested=None,
        )
        .returning(tombstone.c.generation)
    )
    return generation
