"""When bytes came, were last asked for, and last read: what keeps them from being removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.control import BLOB
from artifacts.digest import Digest
from artifacts.queries.dialect import Insert, insert, insert_or_renew, slices
from artifacts.queries.facts import RENEWAL_MS
from artifacts.queries.receipts import DAMAGED
from artifacts.tables import last_use, location, receipt, tree

DAY_MS: Final = 86_400_000
"""Reads are noted at most this often."""


async def named(
    connection: AsyncConnection, project: str, kind: str, digests: Sequence[Digest]
) -> dict[Digest, int]:
    """Those of `digests` whose bytes are here, and when they came or were last named, whichever is later.

    Bytes that a worker found damaged are not: whoever has them shall send them again.
    """
    raws = [digest.raw for digest in digests if digest.algorithm == "sha256"]
    table, came = (receipt, receipt.c.hashed_at) if kind == BLOB else (tree, tree.c.changed_at)
    same = sa.and_(last_use.c.project == table.c.project, last_use.c.digest == table.c.digest)
    asked = sa.select(
        table.c.digest, sa.func.max(came), sa.func.max(sa.func.coalesce(last_use.c.named_at, 0))
    )
    asked = asked.select_from(table.outerjoin(last_use, same)).group_by(table.c.digest)
    if kind == BLOB:
        damaged = sa.case((receipt.c.kind == DAMAGED, 1), else_=0)
        asked = asked.having(sa.func.max(damaged) == 0)
    found: dict[Digest, int] = {}
    for some in slices(raws):
        rows = await connection.execute(asked.where(table.c.project == project, table.c.digest.in_(some)))
        found |= {Digest.sha256(raw): max(came_at, named_at) for raw, came_at, named_at in rows}
    return found


async def packs_of(connection: AsyncConnection, project: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """Those of `digests` that lie in a frame, and in which pack each does."""
    found: dict[bytes, bytes] = {}
    for some in slices(digests):
        asked = sa.select(location.c.digest, location.c.pack)
        rows = await connection.execute(
            asked.where(location.c.project == project, location.c.digest.in_(some))
        )
        found |= {digest: where for digest, where in rows}  # noqa: C416  # rows are not typed as pairs
    return found


async def name(connection: AsyncConnection, project: str, digests: Collection[Digest], *, at: int) -> None:
    """Note that somebody was told that these bytes are here; at most once a minute."""
    rows = [
        {"project": project, "digest": digest.raw, "named_at": at, "used_at": 0} for digest in sorted(digests)
    ]
    await insert_or_renew(connection, last_use, rows, _named_again)


def _named_again(adding: Insert) -> Insert:
    named_at = adding.excluded.named_at
    return adding.on_conflict_do_update(
        index_elements=["project", "digest"],
        set_={"named_at": named_at},
        where=last_use.c.named_at < named_at - sa.literal_column(str(RENEWAL_MS)),
    )


async def use(connection: AsyncConnection, used: Collection[tuple[str, Digest]], *, at: int) -> None:
    """Note that bytes of (project, digest) were read; at most once a day."""
    rows = [
        {"project": project, "digest": digest.raw, "named_at": 0, "used_at": at}
        for project, digest in sorted(used)
    ]
    await insert_or_renew(connection, last_use, rows, _used_again)


def _used_again(adding: Insert) -> Insert:
    used_at = adding.excluded.used_at
    return adding.on_conflict_do_update(
        index_elements=["project", "digest"],
        set_={"used_at": used_at},
        where=last_use.c.used_at < used_at - sa.literal_column(str(DAY_MS)),
    )


async def name_everything(connection: AsyncConnection, *, at: int) -> None:
    """Let the grace period of all that is here begin anew: nobody knows any more what was named when."""
    for table in (receipt, tree):
        every = sa.select(table.c.project, table.c.digest, sa.literal(at), sa.literal(0)).distinct()
        names = ["project", "digest", "named_at", "used_at"]
        adding = insert(connection, last_use).from_select(names, every.where(sa.true()))
        await connection.execute(
            adding.on_conflict_do_update(index_elements=["project", "digest"], set_={"named_at": at})
        )
