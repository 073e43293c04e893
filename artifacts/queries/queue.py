"""The queue: work taken by lease, and counted only under the attempt that took it.

Both databases do it in one statement that is committed before the work begins. A
worker that dies lets its lease run out; one that was merely slow finds that its attempt
is no longer the current one, and its result does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from artifacts.queries.dialect import insert_new
from artifacts.tables import queue, step


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work, leased."""

    id: int
    project: str
    kind: str
    topic: str
    attempt: int
    owner: str


async def enqueue(
    connection: AsyncConnection, jobs: Sequence[tuple[str, str, str]], *, available_at: int
) -> None:
    """Add (project, kind, topic) to be done; what is waiting already waits once."""
    rows = [
        {"project": project, "kind": kind, "topic": topic, "available_at": available_at}
        for project, kind, topic in jobs
    ]
    await insert_new(connection, queue, rows)


async def enqueue_again(
    connection: AsyncConnection, jobs: Sequence[tuple[str, str, str]], *, available_at: int
) -> None:
    """As `enqueue`, but of what is under way right now the result will not count: it is done once more."""
    await enqueue(connection, jobs, available_at=available_at)
    for project, kind, topic in jobs:
        await connection.execute(
            sa.update(queue)
            .where(queue.c.project == project, queue.c.kind == kind, queue.c.topic == topic)
            .values(owner=None, lease_until=0, available_at=available_at, attempt=queue.c.attempt + 1)
        )


async def waiting(connection: AsyncConnection, kind: str, *, now: int) -> bool:
    """Whether anything could be taken; a read that blocks nobody."""
    found = await connection.scalar(
        sa.select(sa.literal(1))
        .where(queue.c.kind == kind, queue.c.available_at <= now, queue.c.lease_until <= now)
        .limit(1)
    )
    return found is not None


async def is_queued(connection: AsyncConnection, project: str, kind: str, topic: str) -> bool:
    """Whether this is still to be done, or under way; a read that blocks nobody."""
    columns = queue.c
    found = sa.select(columns.id).where(
        columns.project == project, columns.kind == kind, columns.topic == topic
    )
    return await connection.scalar(found) is not None


async def take(
    connection: AsyncConnection, kind: str, *, owner: str, now: int, lease_ms: int, limit: int
) -> list[Job]:
    """Lease up to `limit` jobs, oldest first. Commit before working on them."""
    free = (
        sa.select(queue.c.id)
        .where(queue.c.kind == kind, queue.c.available_at <= now, queue.c.lease_until <= now)
        .order_by(queue.c.available_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # Named, so that it is run once: a plain subquery may be run again and lock more than `limit`.
        .cte("free")
    )
    taken = await connection.execute(_leased_to(queue.c.id.in_(sa.select(free.c.id)), owner, now + lease_ms))
    return [Job(*row) for row in taken]


async def take_over(
    connection: AsyncConnection, project: str, kind: str, topic: str, *, owner: str, until: int
) -> list[Job]:
    """Lease this very job if there is one, whoever has it; what they make of it does not count."""
    mine = sa.and_(queue.c.project == project, queue.c.kind == kind, queue.c.topic == topic)
    taken = await connection.execute(_leased_to(mine, owner, until))
    return [Job(*row) for row in taken]


def _leased_to(
    jobs: sa.ColumnElement[bool], owner: str, until: int
) -> ReturningUpdate[tuple[Any, ...]]:  # Any: columns of several types
    return (
        sa.update(queue)
        .where(jobs)
        .values(owner=owner, lease_until=until, attempt=queue.c.attempt + 1)
        .returning(queue.c.id, queue.c.project, queue.c.kind, queue.c.topic, queue.c.attempt, queue.c.owner)
    )


async def complete(connection: AsyncConnection, job: Job) -> bool:
    """Take `job` off the queue; False where the lease was lost and the result must not count."""
    gone = await connection.execute(sa.delete(queue).where(_leased(job)))
    return gone.rowcount == 1


async def holds(connection: AsyncConnection, job: Job) -> bool:
    """Whether the lease of `job` still counts; it does until the end of the transaction, which may write."""
    found = sa.select(queue.c.id).where(_leased(job)).with_for_update()
    return await connection.scalar(found) is not None


def _leased(job: Job) -> sa.ColumnElement[bool]:
    """The row of `job`, while its lease counts.

    All of it is compared: SQLite gives the id of a finished job to the next one, whose first
    attempt a late worker would otherwise take for its own; the next one may even be about the same.
    """
    columns = queue.c
    return sa.and_(
        columns.id == job.id,
        columns.attempt == job.attempt,
        columns.project == job.project,
        columns.kind == job.kind,
        columns.topic == job.topic,
        columns.owner == job.owner,
    )


async def postpone(connection: AsyncConnection, job: Job, *, until: int) -> None:
    """Give `job` back, to be taken again after `until`."""
    await connection.execute(
        sa.update(queue).where(_leased(job)).values(owner=None, lease_until=0, available_at=until)
    )


async def renew(connection: AsyncConnection, job: Job, *, until: int) -> bool:
    """Keep `job` longer; False where it was lost meanwhile."""
    kept = await connection.execute(sa.update(queue).where(_leased(job)).values(lease_until=until))
    return kept.rowcount == 1


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: by kind how many jobs, and since when the first could be taken; steps for their signature."""

    kinds: Mapping[str, tuple[int, int | None]]
    unsigned_since: int | None
    """When the step finished that waits longest to be signed."""


_KINDS: Final = ("sign", "log", "hash", "check", "join")
"""Shown also while nothing of them waits."""


async def backlog(connection: AsyncConnection) -> Backlog:
    """How much is to be done, and how old it is."""
    columns = queue.c
    counted = await connection.execute(
        sa.select(columns.kind, sa.func.count(), sa.func.min(columns.available_at)).group_by(columns.kind)
    )
    kinds: dict[str, tuple[int, int | None]] = dict.fromkeys(_KINDS, (0, None))
    kinds.update((kind, (count, since)) for kind, count, since in counted)
    # By the step and not by its job, whose time moves on whenever it is put off.
    waiting = sa.and_(columns.kind == "sign", step.c.project == columns.project, step.c.id == columns.topic)
    since = await connection.scalar(sa.select(sa.func.min(step.c.finished_at)).where(waiting))
    return Backlog(kinds, since)


async def depth(connection: AsyncConnection) -> dict[str, int]:
    """How many jobs of each kind wait or are under way."""
    counted = await connection.execute(sa.select(queue.c.kind, sa.func.count()).group_by(queue.c.kind))
    return {kind: count for kind, count in counted.all()}  # noqa: C416  # rows are not typed as pairs
