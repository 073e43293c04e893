"""What may be removed: pages of what a project keeps, and all that decides about each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.control import BLOB
from artifacts.digest import Digest
from artifacts.queries.dialect import slices
from artifacts.queries.uploads import UploadState
from artifacts.retention import Kept
from artifacts.steps import StepState
from artifacts.tables import (
    artifact,
    attestation_subject,
    hold,
    last_use,
    location,
    pack,
    project,
    receipt,
    reference,
    step,
    step_input,
    step_output,
    tree,
    tree_claim,
    tree_part,
    upload,
)
from artifacts.trees.states import TreeState

_UNDER_WAY: Final = (UploadState.OPEN.value, UploadState.CHECKING.value)
_UNSIGNED: Final = (StepState.OPEN.value, StepState.SEALING.value, StepState.SEALED.value)
_MOST_NAMES: Final = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thing that is kept, and what speaks for its staying."""

    digest: Digest
    kept: Kept
    is_named: bool
    """An artifact is recorded under its digest; not one that is a pack and nothing else."""
    is_part: bool
    """A present tree is made of it."""
    is_needed: bool
    """A hold is on it, an upload brings it, or a worker checks it."""


async def projects(connection: AsyncConnection) -> list[str]:
    """Every project."""
    return list((await connection.scalars(sa.select(project.c.name).order_by(project.c.name))).all())


async def page(
    connection: AsyncConnection, project_: str, kind: str, *, after: bytes, limit: int
) -> list[Digest]:
    """The next digests of what a project keeps, in their order."""
    table = receipt if kind == BLOB else tree
    asked = sa.select(table.c.digest).where(table.c.project == project_, table.c.digest > after)
    found = await connection.scalars(asked.distinct().order_by(table.c.digest).limit(limit))
    return [Digest.sha256(raw) for raw in found]


async def look_at(
    connection: AsyncConnection, project_: str, kind: str, digests: Sequence[Digest], *, names: bool
) -> list[Candidate]:
    """Those of `digests` that are kept, and what decides about them; with `names` those given to them too."""
    asked = _blobs() if kind == BLOB else _trees()
    table = receipt if kind == BLOB else tree
    raws = [digest.raw for digest in digests]
    rows = await connection.execute(asked.where(table.c.project == project_, table.c.digest.in_(raws)))
    found = [_candidate(project_, kind, row) for row in rows]
    if not names:
        return found
    given = await _names(connection, project_, [one.digest for one in found if one.is_named])
    return [replace(one, kept=replace(one.kept, names=tuple(given.get(one.digest.raw, ())))) for one in found]


def _candidate(project_: str, kind: str, row: Sequence[Any]) -> Candidate:  # Any: column values
    raw, size, came_at, recorded_at, told_at, used_at, named, part, needed = row
    kept = Kept(project_, kind, size or 0, came_at, max(recorded_at or 0, told_at or 0), used_at or 0)
    return Candidate(Digest.sha256(raw), kept, bool(named), bool(part), bool(needed))


def _beside(table: sa.Table) -> sa.FromClause:
    """`table` with what is recorded of the same digest."""
    same = sa.and_(artifact.c.project == table.c.project, artifact.c.address == table.c.digest)
    used = sa.and_(last_use.c.project == table.c.project, last_use.c.digest == table.c.digest)
    return table.outerjoin(artifact, same).outerjoin(last_use, used)


def _there(table: sa.Table, other: sa.Table, *more: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    same = (other.c.project == table.c.project, other.c.digest == table.c.digest, *more)
    return sa.select(sa.literal_column("1")).where(*same).correlate(table).exists()


_MORE: Final = (
    sa.func.max(artifact.c.named_at),
    sa.func.max(last_use.c.named_at),
    sa.func.max(last_use.c.used_at),
)


def _blobs() -> sa.Select[Any]:  # Any: columns of several types
    part = sa.and_(tree_part.c.project == receipt.c.project, tree_part.c.part == receipt.c.digest)
    made_of = sa.select(sa.literal_column("1")).where(part).correlate(receipt).exists()
    needed = sa.or_(_there(receipt, hold), _there(receipt, upload, upload.c.state.in_(_UNDER_WAY)))
    looked_into = sa.and_(pack.c.project == receipt.c.project, pack.c.digest == receipt.c.digest)
    came = _later(sa.func.max(receipt.c.hashed_at), sa.func.max(pack.c.checked_at))
    return (
        sa.select(receipt.c.digest, sa.func.max(receipt.c.size), came, *_MORE, _named(), made_of, needed)
        .select_from(_beside(receipt).outerjoin(pack, looked_into))
        .group_by(receipt.c.project, receipt.c.digest)
    )


def _named() -> sa.ColumnElement[bool]:
    """Whether an artifact is recorded; one that is a pack counts only if anything more is said of it."""
    more = [
        sa.select(sa.literal_column("1"))
        .where(table.c.project == receipt.c.project, table.c.address == receipt.c.digest)
        .correlate(receipt)
        .exists()
        for table in (reference, step_input, step_output, attestation_subject)
    ]
    is_pack = sa.func.max(pack.c.checked_at).is_not(None)
    return sa.and_(sa.func.max(artifact.c.named_at).is_not(None), sa.or_(sa.not_(is_pack), *more))


def _later(one: sa.ColumnElement[int], other: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.case((sa.func.coalesce(other, 0) > one, other), else_=one)


def _trees() -> sa.Select[Any]:  # Any: columns of several types
    size = sa.func.coalesce(tree.c.stored_size, 0) + sa.func.coalesce(tree.c.layout_stored_size, 0)
    needed = sa.or_(_there(tree, hold), tree.c.state == TreeState.CHECKING.value)
    columns = (artifact.c.named_at, last_use.c.named_at, last_use.c.used_at)
    named = artifact.c.named_at.is_not(None)
    asked = sa.select(tree.c.digest, size, tree.c.changed_at, *columns, named, sa.false(), needed)
    return asked.select_from(_beside(tree))


async def _names(
    connection: AsyncConnection, project_: str, digests: Collection[Digest]
) -> dict[bytes, list[str]]:
    given: dict[bytes, list[str]] = {}
    raws = [digest.raw for digest in digests]
    asked = sa.select(reference.c.address, reference.c.name).where(
        reference.c.project == project_, reference.c.address.in_(raws), reference.c.name != ""
    )
    for raw, name in await connection.execute(asked.order_by(reference.c.address, reference.c.name)):
        names = given.setdefault(raw, [])
        if len(names) < _MOST_NAMES:
            names.append(name)
    return given


async def holds_named_contents(connection: AsyncConnection, project_: str, digest: Digest) -> bool:
    """Whether a content that lies in this pack is an artifact by itself, or held: the pack stays for it."""
    inside = sa.and_(location.c.project == project_, location.c.pack == digest.raw)
    for table, filed in ((artifact, artifact.c.address), (hold, hold.c.digest)):
        same = sa.and_(table.c.project == location.c.project, filed == location.c.digest)
        found = sa.select(sa.literal(1)).select_from(location.join(table, same)).where(inside)
        if await connection.scalar(found.limit(1)) is not None:
            return True
    return False


async def is_awaited(connection: AsyncConnection, project_: str, digest: Digest) -> bool:
    """Whether a step names these bytes as its output and is not signed yet."""
    same = sa.and_(step.c.project == step_output.c.project, step.c.id == step_output.c.step)
    found = sa.select(sa.literal(1)).select_from(step_output.join(step, same))
    found = found.where(
        step_output.c.project == project_,
        step_output.c.address == digest.raw,
        step.c.state.in_(_UNSIGNED),
    )
    return await connection.scalar(found.limit(1)) is not None


async def oldest_open(connection: AsyncConnection, project_: str) -> int | None:
    """When the oldest step began that still may name what its token has sent."""
    began: int | None = await connection.scalar(
        sa.select(sa.func.min(step.c.began_at)).where(
            step.c.project == project_, step.c.state.in_((StepState.OPEN.value, StepState.SEALING.value))
        )
    )
    return began


async def claims_under_way(connection: AsyncConnection, project_: str) -> list[bytes]:
    """What is claimed of packs of trees that a worker is still to check."""
    same = sa.and_(tree.c.project == tree_claim.c.project, tree.c.digest == tree_claim.c.tree)
    asked = sa.select(tree_claim.c.body).select_from(tree_claim.join(tree, same))
    return list(await connection.scalars(asked.where(tree_claim.c.project == project_)))


async def parts_only_of(connection: AsyncConnection, project_: str, trees: Collection[Digest]) -> set[bytes]:
    """The packs and blobs that these trees are made of and no others."""
    mine = {digest.raw for digest in trees}
    parts: set[bytes] = set()
    for some in slices(sorted(mine)):
        asked = sa.select(tree_part.c.part).where(tree_part.c.project == project_, tree_part.c.tree.in_(some))
        parts.update(await connection.scalars(asked.distinct()))
    for some in slices(sorted(parts)):
        asked = sa.select(tree_part.c.part, tree_part.c.tree).where(
            tree_part.c.project == project_, tree_part.c.part.in_(some)
        )
        for part, user in await connection.execute(asked.distinct()):
            if user not in mine:
                parts.discard(part)
    return parts


async def only_of(connection: AsyncConnection, project_: str, tree_: Digest) -> int:
    """The bytes of packs and blobs that this tree and no other is made of."""
    mine = sa.select(tree_part.c.part).where(tree_part.c.project == project_, tree_part.c.tree == tree_.raw)
    others = tree_part.alias("others")
    shared = sa.and_(
        others.c.project == project_, others.c.part == receipt.c.digest, others.c.tree != tree_.raw
    )
    each = (
        sa.select(sa.func.max(receipt.c.size).label("size"))
        .where(
            receipt.c.project == project_,
            receipt.c.digest.in_(mine),
            sa.not_(sa.select(sa.literal_column("1")).where(shared).correlate(receipt).exists()),
        )
        .group_by(receipt.c.digest)
        .subquery()
    )
    return int(await connection.scalar(sa.select(sa.func.sum(each.c.size))) or 0)


async def idle_bytes(connection: AsyncConnection, project_: str) -> int:
    """The bytes of blobs that nobody named and no tree is made of: they go by themselves."""
    named = sa.and_(artifact.c.project == receipt.c.project, artifact.c.address == receipt.c.digest)
    part = sa.and_(tree_part.c.project == receipt.c.project, tree_part.c.part == receipt.c.digest)
    neither = [
        sa.not_(sa.select(sa.literal_column("1")).where(one).correlate(receipt).exists())
        for one in (named, part)
    ]
    each = (
        sa.select(sa.func.max(receipt.c.size).label("size"))
        .where(receipt.c.project == project_, *neither)
        .group_by(receipt.c.digest)
        .subquery()
    )
    return int(await connection.scalar(sa.select(sa.func.sum(each.c.size))) or 0)
