"""Locations: where a worker has seen the contents of files of a project lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.limits import MAX_TREE_FILE_BYTES
from artifacts.queries.dialect import insert_new, slices
from artifacts.tables import location, pack, receipt
from artifacts.trees.packs import Location


@dataclass(frozen=True, slots=True)
class SeenPack:
    """A pack, and the claim about it that was found right."""

    digest: Digest
    size: int
    claim: Digest


async def add_pack(
    connection: AsyncConnection, project: str, seen: SeenPack, found: Sequence[Location], *, at: int
) -> None:
    """Remember a pack that was looked into, and where its files lie; a first location stays."""
    rows = [{"project": project, **place._asdict()} for place in found]
    for some in slices(rows):
        await insert_new(connection, location, some)
    row = {
        "project": project,
        "digest": seen.digest.raw,
        "size": seen.size,
        "claim": seen.claim.raw,
        "checked_at": at,
    }
    await insert_new(connection, pack, [row])


async def found_right(connection: AsyncConnection, project: str, digest: Digest, claim: Digest) -> bool:
    """Whether exactly this claim about a pack was found right before."""
    known = await connection.scalar(
        sa.select(sa.literal(1)).where(
            pack.c.project == project, pack.c.digest == digest.raw, pack.c.claim == claim.raw
        )
    )
    return known is not None


async def pack_sizes(
    connection: AsyncConnection, project: str, digests: Sequence[bytes]
) -> Mapping[bytes, int]:
    """The sizes of packs that were looked into."""
    sizes: dict[bytes, int] = {}
    for some in slices(digests):
        found = await connection.execute(
            sa.select(pack.c.digest, pack.c.size).where(pack.c.project == project, pack.c.digest.in_(some))
        )
        sizes |= {row.digest: row.size for row in found}
    return sizes


async def locate(
    connection: AsyncConnection, project: str, digests: Sequence[bytes]
) -> dict[bytes, Location]:
    """Where those of `digests` lie that a worker has seen in a frame of this project."""
    columns = [location.c[name] for name in Location._fields]
    places: dict[bytes, Location] = {}
    for some in slices(digests):
        found = await connection.execute(
            sa.select(*columns).where(location.c.project == project, location.c.digest.in_(some))
        )
        places |= {row[0]: Location._make(row) for row in found}
    return places


async def located(connection: AsyncConnection, project: str, digests: Sequence[bytes]) -> set[bytes]:
    """Those of `digests` that lie in a frame."""
    known: set[bytes] = set()
    for some in slices(digests):
        known.update(
            await connection.scalars(
                sa.select(location.c.digest).where(location.c.project == project, location.c.digest.in_(some))
            )
        )
    return known


async def large_blobs(
    connection: AsyncConnection, project: str, digests: Sequence[bytes]
) -> dict[bytes, int]:
    """Those of `digests` that are blobs too large for a frame, with their sizes."""
    sizes: dict[bytes, int] = {}
    for some in slices(digests):
        found = await connection.execute(
            sa.select(receipt.c.digest, receipt.c.size).where(
                receipt.c.project == project,
                receipt.c.digest.in_(some),
                receipt.c.size > MAX_TREE_FILE_BYTES,
            )
        )
        sizes |= {row.digest: row.size for row in found}
    return sizes
