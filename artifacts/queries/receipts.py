"""Receipts: who hashed which bytes of which project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.dialect import insert_one
from artifacts.tables import receipt


async def add_receipt(
    connection: AsyncConnection, project: str, digest: Digest, *, kind: str, size: int, at: int
) -> bool:
    """Remember a receipt; return whether it was new."""
    row = {"project": project, "digest": digest.raw, "kind": kind, "size": size, "hashed_at": at}
    return await insert_one(connection, receipt, row)


DAMAGED: Final = "damaged"
"""A row of this kind is no receipt: a worker found that the bytes are not those of their digest."""


async def note_damage(connection: AsyncConnection, project: str, digest: Digest, *, at: int) -> None:
    """Remember that these bytes are damaged: nobody is told that they are here until they are right."""
    size = await stored_size(connection, project, digest)
    if size is not None:
        await add_receipt(connection, project, digest, kind=DAMAGED, size=size, at=at)


async def forget_damage(connection: AsyncConnection, project: str, digest: Digest) -> None:
    """Forget that these bytes were damaged."""
    mine = (receipt.c.project == project, receipt.c.digest == digest.raw, receipt.c.kind == DAMAGED)
    await connection.execute(sa.delete(receipt).where(*mine))


async def stored_size(connection: AsyncConnection, project: str, digest: Digest) -> int | None:
    """The size of the bytes this project has proven, or None."""
    size: int | None = await connection.scalar(
        sa.select(receipt.c.size).where(receipt.c.project == project, receipt.c.digest == digest.raw).limit(1)
    )
    return size


async def proven(connection: AsyncConnection, project: str, digests: Sequence[Digest]) -> set[Digest]:
    """Those of `digests` whose bytes this project has proven."""
    found = await connection.scalars(
        sa.select(receipt.c.digest)
        .where(receipt.c.project == project, receipt.c.digest.in_([digest.raw for digest in digests]))
        .distinct()
    )
    return {Digest.sha256(raw) for raw in found}
