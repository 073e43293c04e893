"""All that is recorded of artifacts, many at a time, in one statement.

Each list comes as JSON that the database puts together: a row for each artifact, and
neither a statement for each list nor a row for each pair of entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.control import BLOB, TREE
from artifacts.digest import Digest, DigestSet
from artifacts.queries.addresses import address
from artifacts.queries.attestations import AttestationRow
from artifacts.queries.dialect import hexed, json_lists
from artifacts.queries.lookups import Involved, Named
from artifacts.queries.trees import BLOB_PART
from artifacts.tables import (
    artifact,
    attestation,
    attestation_subject,
    digest_alias,
    location,
    receipt,
    reference,
    step,
    step_input,
    step_output,
    tombstone,
    tree_part,
)

MOST: Final = 100
"""Entries of one list of a page."""


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    """What the index holds of one artifact; a list may have one entry more than is shown."""

    digest: Digest
    size: int | None
    aliases: DigestSet
    names: list[Named]
    made: list[Involved]
    used: list[Involved]
    signed: list[AttestationRow]
    in_trees: bool
    """It may be a file of a tree, or lie in a pack."""
    was_removed: bool = False
    """Bytes of it were removed once: `artifacts.queries.removals` says which."""


async def find_pages(
    connection: AsyncConnection, project: str, digests: Sequence[Digest]
) -> dict[Digest, ArtifactPage]:
    """Those of `digests` that are artifacts of `project` under that very digest."""
    asked = {"project": project, "addresses": [address(digest) for digest in digests]}
    found = await connection.execute(_pages(connection.dialect.name), asked)
    pages = [_page(project, row) for row in found]
    return {page.digest: page for page in pages}


def _page(project: str, row: Sequence[Any]) -> ArtifactPage:  # Any: columns of several types
    algorithm, raw, size, in_trees, was_removed, aliases, names, made, used, signed = row
    digest = Digest(algorithm, raw.hex())
    others: dict[str, str] = dict(orjson.loads(aliases))
    return ArtifactPage(
        digest=digest,
        size=size,
        aliases=DigestSet.parse({**others, algorithm: digest.hex}),
        names=[Named(digest, *row) for row in orjson.loads(names)],
        made=[Involved(*row) for row in orjson.loads(made)],
        used=[Involved(*row) for row in orjson.loads(used)],
        signed=[_attestation(project, *row) for row in orjson.loads(signed)],
        in_trees=bool(in_trees),
        was_removed=bool(was_removed),
    )


def _attestation(project: str, hex_digest: str, hex_record: str, *row: Any) -> AttestationRow:  # Any: JSON
    step_id, builder_id, predicate_type, keyid, signed_at = row
    return AttestationRow(
        project,
        Digest("sha256", hex_digest),
        step_id,
        builder_id,
        predicate_type,
        keyid,
        Digest("sha256", hex_record),
        signed_at,
    )


@cache
def _pages(dialect: str) -> sa.Select[Any]:  # Any: columns of several types
    """The statement, built once."""
    lists = (_aliases(dialect), _names(), _made(), _used(), _signed(dialect))
    return sa.select(
        artifact.c.algorithm,
        artifact.c.digest,
        _size(),
        _in_trees(),
        _was_removed(),
        *(json_lists(dialect, one) for one in lists),
    ).where(
        artifact.c.project == sa.bindparam("project"),
        artifact.c.address.in_(sa.bindparam("addresses", expanding=True)),
    )


def _of_it(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.project == artifact.c.project, table.c.address == artifact.c.address)


def _size() -> sa.ScalarSelect[int]:
    # Bytes are kept under their sha256 alone, and that is where such an artifact is filed.
    same = sa.and_(receipt.c.project == artifact.c.project, receipt.c.digest == artifact.c.address)
    return sa.select(receipt.c.size).where(same).limit(1).correlate(artifact).scalar_subquery()


def _in_trees() -> sa.ColumnElement[bool]:
    framed = sa.and_(location.c.project == artifact.c.project, location.c.digest == artifact.c.address)
    part = sa.and_(
        tree_part.c.project == artifact.c.project,
        tree_part.c.part == artifact.c.address,
        tree_part.c.frame_offset == BLOB_PART,
    )
    return sa.or_(
        sa.select(sa.literal_column("1")).where(framed).correlate(artifact).exists(),
        sa.select(sa.literal_column("1")).where(part).correlate(artifact).exists(),
    )


def _was_removed() -> sa.ColumnElement[bool]:
    kinds = tombstone.c.kind.in_([sa.literal_column(f"'{kind}'") for kind in (BLOB, TREE)])
    same = sa.and_(tombstone.c.project == artifact.c.project, tombstone.c.digest == artifact.c.address)
    return sa.select(sa.literal_column("1")).where(same, kinds).correlate(artifact).exists()


def _aliases(dialect: str) -> sa.Select[Any]:  # Any: columns of several types
    return (
        sa.select(digest_alias.c.algorithm, hexed(dialect, digest_alias.c.digest).label("hex"))
        .where(_of_it(digest_alias))
        .correlate(artifact)
    )


def _names() -> sa.Select[Any]:  # Any: columns of several types
    columns = reference.c
    return (
        sa.select(columns.uri, columns.name, columns.recorded_at)
        .where(_of_it(reference))
        .order_by(columns.recorded_at, columns.uri, columns.name)
        .limit(MOST + 1)
        .correlate(artifact)
    )


def _made() -> sa.Select[Any]:  # Any: columns of several types
    columns = step_output.c
    return (
        _steps(step_output, columns.role, columns.name.label("output_name"))
        .order_by(columns.step.desc(), columns.name)
        .limit(MOST + 1)
    )


def _used() -> sa.Select[Any]:  # Any: columns of several types
    return (
        _steps(step_input, step_input.c.role, sa.null().label("output_name"))
        .order_by(step_input.c.step.desc())
        .limit(MOST + 1)
    )


def _steps(table: sa.Table, *more: sa.ColumnElement[Any]) -> sa.Select[Any]:  # Any: columns of several types
    same = sa.and_(step.c.project == table.c.project, step.c.id == table.c.step)
    known = (step.c.id, step.c.run, step.c.name.label("step_name"), step.c.outcome, step.c.state)
    return (
        sa.select(*known, *more, step.c.finished_at)
        .select_from(table.join(step, same))
        .where(_of_it(table))
        .correlate(artifact)
    )


def _signed(dialect: str) -> sa.Select[Any]:  # Any: columns of several types
    columns = attestation.c
    same = sa.and_(
        columns.project == attestation_subject.c.project, columns.digest == attestation_subject.c.attestation
    )
    return (
        sa.select(
            hexed(dialect, columns.digest).label("hex"),
            hexed(dialect, columns.record_digest).label("record"),
            columns.step,
            columns.builder_id,
            columns.predicate_type,
            columns.keyid,
            columns.signed_at,
        )
        .select_from(attestation_subject.join(attestation, same))
        .where(_of_it(attestation_subject))
        .order_by(columns.signed_at.desc(), columns.digest)
        .limit(MOST + 1)
        .correlate(artifact)
    )
