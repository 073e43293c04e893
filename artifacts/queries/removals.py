"""Removals: what is being removed, what was, what is barred; and rows that go with the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.control import BLOB, TREE
from artifacts.digest import Digest
from artifacts.queries.dialect import insert, locked
from artifacts.queries.uploads import UploadState
from artifacts.tables import (
    hold,
    last_use,
    location,
    pack,
    queue,
    receipt,
    tombstone,
    tree,
    tree_claim,
    tree_part,
    tree_sender,
    upload,
)
from artifacts.trees.states import TreeState

_SLICE: Final = 5000
"""SQLite takes 32,766 values in a statement."""


class RemovalState(StrEnum):
    """How far a removal has come."""

    DELETING = "deleting"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a digest so far: the newest removal of its bytes, if there was one."""

    state: RemovalState | None = None
    generation: int = 0
    barred: bool = False
    decided_at: int = 0


NEVER_REMOVED: Final = Standing()


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """What is removed as one: a blob (a pack is one), or what is kept of a tree."""

    project: str
    kind: str
    digest: Digest

    def __post_init__(self) -> None:
        if self.kind not in {BLOB, TREE}:
            raise ValueError(f"neither a blob nor a tree: {self.kind}")


@dataclass(frozen=True, slots=True)
class Known:
    """What the index has of a thing that is to be removed."""

    size: int
    layout: Digest | None = None
    checking: bool = False


async def find(connection: AsyncConnection, project: str, kind: str, digest: Digest) -> Standing:
    """The newest removal of a thing."""
    found = await connection.execute(
        sa.select(
            tombstone.c.state, tombstone.c.generation, tombstone.c.barred, tombstone.c.decided_at
        ).where(_is(tombstone, project, digest), tombstone.c.kind == kind)
    )
    row = found.one_or_none()
    if row is None:
        return NEVER_REMOVED
    return Standing(RemovalState(row.state), row.generation, row.barred, row.decided_at)


def _is(table: sa.Table, project: str, digest: Digest) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.project == project, table.c.digest == digest.raw)


@dataclass(frozen=True, slots=True)
class Removed:
    """What is told of a removal."""

    kind: str
    state: RemovalState
    reason: str
    detail: str | None
    barred: bool
    at: int
    """When nothing was left, or while that is not so, when it was decided."""


async def of(connection: AsyncConnection, project: str, digest: Digest) -> list[Removed]:
    """The newest removals of what was kept under `digest`."""
    columns = (tombstone.c.kind, tombstone.c.state, tombstone.c.reason, tombstone.c.detail)
    at = sa.func.coalesce(tombstone.c.gone_at, tombstone.c.decided_at)
    found = await connection.execute(
        sa.select(*columns, tombstone.c.barred, at)
        .where(_is(tombstone, project, digest), tombstone.c.kind.in_([BLOB, TREE]))
        .order_by(tombstone.c.kind)
    )
    return [Removed(row[0], RemovalState(row[1]), *row[2:]) for row in found]


async def barred(connection: AsyncConnection, project: str, digests: Sequence[bytes]) -> set[bytes]:
    """Those of `digests` that were purged and are not taken in again."""
    found: set[bytes] = set()
    for start in range(0, len(digests), _SLICE):
        asked = sa.select(tombstone.c.digest).where(
            tombstone.c.project == project,
            tombstone.c.kind == BLOB,
            tombstone.c.digest.in_(digests[start : start + _SLICE]),
            tombstone.c.barred,
        )
        found.update(await connection.scalars(asked))
    return found


async def is_held(connection: AsyncConnection, project: str, digest: Digest) -> bool:
    """Whether a hold is on `digest`."""
    return await connection.scalar(sa.select(sa.literal(1)).where(_is(hold, project, digest))) is not None


async def is_part(connection: AsyncConnection, project: str, digest: Digest) -> bool:
    """Whether a present tree is made of this blob, or of frames of this pack."""
    used = sa.select(sa.literal(1)).where(tree_part.c.project == project, tree_part.c.part == digest.raw)
    return await connection.scalar(used.limit(1)) is not None


async def known(connection: AsyncConnection, thing: Thing) -> Known | None:
    """What the index has of `thing`; nobody else writes those rows before the transaction ends."""
    if thing.kind == BLOB:
        sizes = sa.select(receipt.c.size).where(_is(receipt, thing.project, thing.digest))
        found = list(await connection.scalars(locked(connection, sizes)))
        # Whoever places a tree in a pack, or in a large blob, holds one of these rows until it is placed.
        packs = sa.select(pack.c.size).where(_is(pack, thing.project, thing.digest))
        found += await connection.scalars(locked(connection, packs))
        return Known(max(found)) if found else None
    columns = (tree.c.state, tree.c.stored_size, tree.c.layout_stored_size, tree.c.layout)
    rows: sa.Select[Any] = sa.select(*columns).where(_is(tree, thing.project, thing.digest))  # Any: columns
    for state, kept, kept_layout, placed in await connection.execute(locked(connection, rows)):
        where = None if placed is None else Digest.sha256(placed)
        checking = state == TreeState.CHECKING.value
        return Known((kept or 0) + (kept_layout or 0), where, checking=checking)
    return None


async def begin(
    connection: AsyncConnection, thing: Thing, size: int, *, reason: str, detail: str | None, now: int
) -> bool:
    """Write down that `thing` is being removed; False where it is already."""
    values = {
        "state": RemovalState.DELETING.value,
        "reason": reason,
        "detail": detail,
        "barred": False,
        "size": size,
        "decided_at": now,
        "gone_at": None,
        "attested": None,
    }
    key = {"project": thing.project, "kind": thing.kind, "digest": thing.digest.raw}
    adding = insert(connection, tombstone).values(**key, **values, generation=1)
    begun = await connection.execute(
        adding.on_conflict_do_update(
            index_elements=list(key),
            set_={**values, "generation": tombstone.c.generation + 1},
            where=tombstone.c.state != RemovalState.DELETING.value,
        )
    )
    return begun.rowcount == 1


async def bar(connection: AsyncConnection, thing: Thing, *, reason: str, detail: str | None) -> None:
    """Let a removal that was just decided be one for good."""
    await connection.execute(
        sa.update(tombstone)
        .where(
            _is(tombstone, thing.project, thing.digest),
            tombstone.c.kind == thing.kind,
            tombstone.c.state == RemovalState.DELETING.value,
        )
        .values(barred=True, reason=reason, detail=detail)
    )


async def end(connection: AsyncConnection, thing: Thing, generation: int, *, now: int) -> bool:
    """Write down that nothing of `thing` is left; False where another removal began since."""
    ended = await connection.execute(
        sa.update(tombstone)
        .where(
            _is(tombstone, thing.project, thing.digest),
            tombstone.c.kind == thing.kind,
            tombstone.c.generation == generation,
            tombstone.c.state == RemovalState.DELETING.value,
        )
        .values(state=RemovalState.GONE.value, gone_at=now)
    )
    return ended.rowcount == 1


async def forget(connection: AsyncConnection, thing: Thing, *, job: str) -> None:
    """Delete the rows that vouch for the bytes of `thing`, and its `job` of being looked at.

    The job goes first: a worker that ends it adds its receipt in the same transaction, and
    whoever waits for that row then sees the receipt.
    """
    await connection.execute(
        sa.delete(queue).where(
            queue.c.project == thing.project, queue.c.kind == job, queue.c.topic == thing.digest.hex
        )
    )
    await (_forget_blob if thing.kind == BLOB else _forget_tree)(connection, thing)
    still = [sa.exists().where(_is(table, thing.project, thing.digest)) for table in (receipt, tree)]
    await connection.execute(
        sa.delete(last_use).where(_is(last_use, thing.project, thing.digest), sa.not_(sa.or_(*still)))
    )


async def _forget_blob(connection: AsyncConnection, thing: Thing) -> None:
    project, digest = thing.project, thing.digest
    await connection.execute(sa.delete(receipt).where(_is(receipt, project, digest)))
    await connection.execute(
        sa.delete(location).where(location.c.project == project, location.c.pack == digest.raw)
    )
    await connection.execute(sa.delete(pack).where(_is(pack, project, digest)))
    # Else a step could still say that its own token sent bytes that are not here.
    await connection.execute(
        sa.delete(upload).where(_is(upload, project, digest), upload.c.state == UploadState.PRESENT.value)
    )


async def _forget_tree(connection: AsyncConnection, thing: Thing) -> None:
    for table in (tree_part, tree_sender, tree_claim):
        await connection.execute(
            sa.delete(table).where(table.c.project == thing.project, table.c.tree == thing.digest.raw)
        )
    await connection.execute(sa.delete(tree).where(_is(tree, thing.project, thing.digest)))
