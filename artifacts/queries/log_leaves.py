"""The log in the index: which signature has which number, what was signed last, and who may add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import tables
from artifacts.digest import Digest
from artifacts.queries.dialect import hexed, insert_new, insert_one, slices
from artifacts.steps import StepState
from artifacts.tables import attestation, hold_event, log_head, log_leaf, tombstone

LOG: Final = "log"
"""The queue of what is signed and to be logged; its topics are the keys of bundles."""


@dataclass(frozen=True, slots=True)
class Head:
    """What was signed last of a log, or is about to be; an empty one has no root."""

    size: int = 0
    root: bytes | None = None


@dataclass(frozen=True, slots=True)
class Numbered:
    """One leaf; the leaf itself stays here until a checkpoint is published that covers it."""

    number: int
    project: str
    bundle: Digest
    hash: bytes
    leaf: bytes | None


async def lead(connection: AsyncConnection, origin: str, owner: str, *, now: int, until: int) -> bool:
    """Let `owner` alone add to the log until then, unless somebody else may."""
    await insert_one(connection, log_head, {"origin": origin})
    free = sa.or_(log_head.c.owner == owner, log_head.c.lease_until <= now)
    taken = await connection.execute(
        sa.update(log_head).where(log_head.c.origin == origin, free).values(owner=owner, lease_until=until)
    )
    return taken.rowcount == 1


async def leave(connection: AsyncConnection, origin: str, owner: str) -> None:
    """Let others add to the log at once."""
    await connection.execute(
        sa.update(log_head)
        .where(log_head.c.origin == origin, log_head.c.owner == owner)
        .values(owner=None, lease_until=0)
    )


async def leads(connection: AsyncConnection, origin: str, owner: str) -> bool:
    """Whether `owner` may still add; where the transaction may write, it does until its end."""
    held = sa.select(log_head.c.owner).where(log_head.c.origin == origin).with_for_update()
    return await connection.scalar(held) == owner


async def head(connection: AsyncConnection, origin: str) -> Head:
    """What was signed last, or is about to be."""
    found = await connection.execute(
        sa.select(log_head.c.size, log_head.c.root).where(log_head.c.origin == origin)
    )
    row = found.one_or_none()
    return Head() if row is None else Head(row[0], row[1])


async def decide(connection: AsyncConnection, origin: str, owner: str, head: Head) -> bool:
    """Say what is to be signed next, by whoever may add; False where `owner` may not, or where it is smaller."""
    mine = sa.and_(log_head.c.origin == origin, log_head.c.owner == owner, log_head.c.size <= head.size)
    decided = await connection.execute(sa.update(log_head).where(mine).values(size=head.size, root=head.root))
    return decided.rowcount == 1


async def size(connection: AsyncConnection) -> int:
    """How many leaves there are."""
    last = await connection.scalar(sa.select(sa.func.max(log_leaf.c.number)))
    return 0 if last is None else last + 1


async def numbers(connection: AsyncConnection, bundles: Sequence[Digest]) -> dict[Digest, int]:
    """Those of `bundles` that are leaves, and which."""
    known: dict[Digest, int] = {}
    for some in slices(bundles):
        found = await connection.execute(
            sa.select(log_leaf.c.bundle, log_leaf.c.number).where(
                log_leaf.c.bundle.in_([one.raw for one in some])
            )
        )
        known |= {Digest.sha256(raw): number for raw, number in found}
    return known


async def number_of(connection: AsyncConnection, project: str, bundle: Digest) -> int | None:
    """The number of a bundle of `project`, if it is a leaf."""
    mine = sa.and_(log_leaf.c.project == project, log_leaf.c.bundle == bundle.raw)
    number: int | None = await connection.scalar(sa.select(log_leaf.c.number).where(mine))
    return number


async def add(connection: AsyncConnection, leaves: Sequence[Numbered]) -> None:
    """Write leaves; their numbers follow those that are there."""
    rows = [
        {
            "number": one.number,
            "project": one.project,
            "bundle": one.bundle.raw,
            "hash": one.hash,
            "leaf": one.leaf,
        }
        for one in leaves
    ]
    await insert_new(connection, log_leaf, rows)


async def between(connection: AsyncConnection, begin: int, end: int) -> list[Numbered]:
    """The leaves from number `begin` to before `end`, in order."""
    columns = log_leaf.c
    found = await connection.execute(
        sa.select(columns.number, columns.project, columns.bundle, columns.hash, columns.leaf)
        .where(columns.number >= begin, columns.number < end)
        .order_by(columns.number)
    )
    return [Numbered(row[0], row[1], Digest.sha256(row[2]), row[3], row[4]) for row in found]


async def hashes(connection: AsyncConnection, begin: int, end: int) -> list[tuple[int, bytes]]:
    """The numbers and hashes of the leaves from `begin` to before `end`."""
    found = await connection.execute(
        sa.select(log_leaf.c.number, log_leaf.c.hash)
        .where(log_leaf.c.number >= begin, log_leaf.c.number < end)
        .order_by(log_leaf.c.number)
    )
    return [(row[0], row[1]) for row in found]


async def hashes_together(connection: AsyncConnection, begin: int, end: int) -> bytes:
    """The hashes of the leaves from `begin` to before `end`, one after the other.

    As one value: an audit asks for little else, and a row each takes longer than all its hashing.
    """
    columns = log_leaf.c
    some = (
        sa.select(hexed(connection.dialect.name, columns.hash).label("one"), columns.number)
        .where(columns.number >= begin, columns.number < end)
        .order_by(columns.number)
        .subquery()
    )
    joined = sa.func.group_concat(some.c.one, "")
    if connection.dialect.name == "postgresql":
        joined = sa.func.string_agg(some.c.one, aggregate_order_by(sa.literal_column("''"), some.c.number))
    found = await connection.scalar(sa.select(joined))
    return bytes.fromhex(found or "")


async def published(connection: AsyncConnection, begin: int, end: int) -> None:
    """Let go of the leaves themselves from number `begin` to before `end`: their tiles have them now."""
    now_in_tiles = sa.and_(log_leaf.c.number >= begin, log_leaf.c.number < end)
    await connection.execute(sa.update(log_leaf).where(now_in_tiles).values(leaf=None))


async def steps_of(connection: AsyncConnection, leaves: Sequence[Numbered]) -> dict[str, list[str]]:
    """By project the steps that these leaves are about; removals and holds are about none."""
    steps: dict[str, list[str]] = {}
    for some in slices(leaves):
        found = await connection.execute(
            sa.select(attestation.c.project, attestation.c.step).where(
                attestation.c.project.in_({one.project for one in some}),
                attestation.c.digest.in_([one.bundle.raw for one in some]),
            )
        )
        for project, step in found:
            steps.setdefault(project, []).append(step)
    return steps


async def unlogged_attestations(connection: AsyncConnection) -> list[tuple[str, Digest]]:
    """The project and the digest of each signed statement that is no leaf.

    Left out are those of steps that are still `sealed`: the signer that was cut off has their job,
    and logs them when they are signed, so that no step is logged before it is signed.
    """
    logged = sa.select(log_leaf.c.number).where(
        log_leaf.c.project == attestation.c.project, log_leaf.c.bundle == attestation.c.digest
    )
    steps = tables.step.c
    under_way = sa.select(steps.id).where(
        steps.project == attestation.c.project,
        steps.id == attestation.c.step,
        steps.state == StepState.SEALED.value,
    )
    found = await connection.execute(
        sa.select(attestation.c.project, attestation.c.digest)
        .where(~logged.exists(), ~under_way.exists())
        .order_by(attestation.c.signed_at, attestation.c.digest)
    )
    return [(project, Digest.sha256(raw)) for project, raw in found]


async def unlogged_removals(connection: AsyncConnection) -> list[tuple[str, str, Digest, int]]:
    """Project, kind, digest and generation of each signed removal that is no leaf."""
    columns = tombstone.c
    found = await connection.execute(
        sa.select(columns.project, columns.kind, columns.digest, columns.generation)
        .where(columns.attested.is_not(None), ~_logged(tombstone).exists())
        .order_by(columns.decided_at, columns.digest)
    )
    return [(project, kind, Digest.sha256(raw), generation) for project, kind, raw, generation in found]


async def unlogged_holds(connection: AsyncConnection) -> list[tuple[str, Digest, str]]:
    """Project, digest and id of each signed word about a hold that is no leaf."""
    columns = hold_event.c
    found = await connection.execute(
        sa.select(columns.project, columns.digest, columns.event)
        .where(columns.attested.is_not(None), ~_logged(hold_event).exists())
        .order_by(columns.event)
    )
    return [(project, Digest.sha256(raw), event) for project, raw, event in found]


def _logged(decisions: sa.Table) -> sa.Select[tuple[int]]:
    return sa.select(log_leaf.c.number).where(
        log_leaf.c.project == decisions.c.project, log_leaf.c.bundle == decisions.c.attested
    )


async def signed_in(connection: AsyncConnection, bundles: Sequence[Digest]) -> dict[Digest, str]:
    """The projects in which `bundles` are signed statements, as the signer wrote it down."""
    projects: dict[Digest, str] = {}
    for some in slices(bundles):
        found = await connection.execute(
            sa.select(attestation.c.digest, attestation.c.project).where(
                attestation.c.digest.in_([one.raw for one in some])
            )
        )
        projects |= {Digest.sha256(raw): project for raw, project in found}
    return projects


# What follows is for whoever fills an index again.


async def forget(connection: AsyncConnection) -> None:
    """Forget every leaf and what was signed last."""
    await connection.execute(sa.delete(log_leaf))
    await connection.execute(sa.delete(log_head))


async def found(connection: AsyncConnection, origin: str, head: Head) -> None:
    """Note what is published."""
    await insert_one(connection, log_head, {"origin": origin, "size": head.size, "root": head.root})


async def attestations_after(
    connection: AsyncConnection, last: bytes, *, limit: int
) -> list[tuple[str, Digest]]:
    """Projects and digests of signed statements, by digest, those after `last`."""
    rows = await connection.execute(
        sa.select(attestation.c.project, attestation.c.digest)
        .where(attestation.c.digest > last)
        .order_by(attestation.c.digest)
        .limit(limit)
    )
    return [(project, Digest.sha256(raw)) for project, raw in rows]
