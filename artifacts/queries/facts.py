"""Recording artifacts and the names given to them, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.aside import MANY, aside_if
from artifacts.queries.addresses import address
from artifacts.queries.dialect import Insert, Row, insert_new, insert_one, insert_or_renew
from artifacts.refs import ArtifactRef
from artifacts.tables import artifact, digest_alias, reference


async def record_refs(
    connection: AsyncConnection, refs: Sequence[tuple[str, ArtifactRef]], *, at: int
) -> None:
    """Remember each (project, reference): the artifact, its other digests, its names.

    Safe to repeat and to race: unique keys decide. An artifact named again counts as
    named now, which keeps it from being collected.
    """
    rows = await aside_if(len(refs) > MANY, _rows, refs, at)
    await _record_artifacts(connection, rows)
    await insert_new(connection, reference, rows.references)


async def record_named(connection: AsyncConnection, project: str, ref: ArtifactRef, *, at: int) -> bool:
    """Remember one reference that has a URI or a name; return whether it was new: of many at once, one is."""
    rows = _rows([(project, ref)], at)
    await _record_artifacts(connection, rows)
    (named,) = rows.references
    return await insert_one(connection, reference, named)


async def _record_artifacts(connection: AsyncConnection, rows: _Rows) -> None:
    await insert_or_renew(connection, artifact, rows.artifacts, _named_again)
    await insert_new(connection, digest_alias, rows.aliases)


class _Rows(NamedTuple):
    artifacts: list[Row]
    aliases: list[Row]
    references: list[Row]


class _Named(NamedTuple):
    project: str
    address: bytes
    ref: ArtifactRef


def _rows(refs: Sequence[tuple[str, ArtifactRef]], at: int) -> _Rows:
    named = [_Named(project, address(ref.digest), ref) for project, ref in refs]
    artifacts = {(one.project, one.address): _artifact(one, at) for one in named}
    # Sorted, so that two transactions never wait for each other in a circle. On PostgreSQL a row
    # that is known is locked even where nothing is renewed, and that is needed: of a producer
    # and a consumer of the same bytes, recorded at once, the second sees the first and links.
    in_order = [artifacts[key] for key in sorted(artifacts)]
    return _Rows(in_order, list(_aliases(named)), list(_references(named, at)))


def _artifact(one: _Named, at: int) -> Row:
    digest = one.ref.digest
    return {
        "project": one.project,
        "address": one.address,
        "algorithm": digest.algorithm,
        "digest": digest.raw,
        "created_at": at,
        "named_at": at,
    }


def _named_again(adding: Insert) -> Insert:
    named_at = adding.excluded.named_at
    return adding.on_conflict_do_update(
        index_elements=["project", "address"],
        set_={"named_at": named_at},
        where=artifact.c.named_at < named_at - sa.literal_column(str(RENEWAL_MS)),
    )


RENEWAL_MS = 60_000
"""`named_at` is renewed at most once a minute: the grace period is counted in hours."""


def _aliases(named: Iterable[_Named]) -> Iterable[Row]:
    for project, at_address, ref in named:
        for digest in ref.digests.digests[1:]:
            yield {
                "project": project,
                "algorithm": digest.algorithm,
                "digest": digest.raw,
                "address": at_address,
            }


def _references(named: Iterable[_Named], at: int) -> Iterable[Row]:
    for project, at_address, ref in named:
        if ref.uri or ref.name:
            yield {
                "project": project,
                "address": at_address,
                "uri": ref.uri or "",
                "name": ref.name or "",
                "media_type": ref.media_type,
                "recorded_at": at,
            }


async def is_recorded(connection: AsyncConnection, project: str, ref: ArtifactRef) -> bool:
    """Whether exactly this (URI, name, digest) stands already."""
    found = await connection.scalar(
        sa.select(sa.literal(1)).where(
            reference.c.project == project,
            reference.c.address == address(ref.digest),
            reference.c.uri == (ref.uri or ""),
            reference.c.name == (ref.name or ""),
        )
    )
    return found is not None
