"""Questions about artifacts: by digest, by name, who made and who used them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.addresses import address
from artifacts.tables import artifact, digest_alias, reference


@dataclass(frozen=True, slots=True)
class Named:
    """A name or URI under which an artifact was recorded."""

    digest: Digest
    uri: str
    name: str
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Involved:
    """A step that made or used an artifact."""

    id: str
    run: str
    name: str
    outcome: str | None
    state: str
    role: str
    output_name: str | None
    finished_at: int | None


async def resolve(connection: AsyncConnection, project: str, digest: Digest) -> list[Digest]:
    """The artifacts that `digest` addresses, directly or as an alias; usually one or none."""
    own = sa.select(artifact.c.algorithm, artifact.c.digest).where(
        artifact.c.project == project, artifact.c.address == address(digest)
    )
    same = sa.and_(artifact.c.project == digest_alias.c.project, artifact.c.address == digest_alias.c.address)
    other = (
        sa.select(artifact.c.algorithm, artifact.c.digest)
        .join(digest_alias, same)
        .where(
            digest_alias.c.project == project,
            digest_alias.c.algorithm == digest.algorithm,
            digest_alias.c.digest == digest.raw,
        )
    )
    found = await connection.execute(sa.union(own, other))
    return sorted(Digest(algorithm, raw.hex()) for algorithm, raw in found)


@dataclass(frozen=True, slots=True)
class NameQuery:
    """Which names to list; exactly as written, a page at a time."""

    uri: str | None = None
    name: str | None = None
    after: tuple[int, str, str, str] | None = None
    limit: int = 100


async def find_named(connection: AsyncConnection, project: str, query: NameQuery) -> list[Named]:
    """The artifacts recorded under a URI or name, in the order they were."""
    same = sa.and_(artifact.c.project == reference.c.project, artifact.c.address == reference.c.address)
    asked = sa.select(
        artifact.c.algorithm,
        artifact.c.digest,
        reference.c.uri,
        reference.c.name,
        reference.c.recorded_at,
    )
    asked = asked.join(artifact, same).where(reference.c.project == project)
    if query.uri is not None:
        asked = asked.where(reference.c.uri == query.uri)
    if query.name is not None:
        asked = asked.where(reference.c.name == query.name)
    order = (reference.c.recorded_at, reference.c.address, reference.c.uri, reference.c.name)
    if query.after is not None:
        at, hex_address, uri, name = query.after
        asked = asked.where(sa.tuple_(*order) > (at, bytes.fromhex(hex_address), uri, name))
    found = await connection.execute(asked.order_by(*order).limit(query.limit))
    return [
        Named(Digest(row.algorithm, row.digest.hex()), row.uri, row.name, row.recorded_at) for row in found
    ]
