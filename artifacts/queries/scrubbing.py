"""What the index knows of stored objects: which must be there, and what depends on each."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.named_keys import Kind
from artifacts.queries.addresses import address
from artifacts.scrubbing.areas import BUNDLE, Area, Item
from artifacts.tables import (
    attestation,
    attestation_subject,
    receipt,
    step,
    step_input,
    step_output,
    tree,
    tree_part,
)
from artifacts.trees.states import TreeState

MAX_DEPENDENTS: Final = 20
"""Trees, steps and attestations that are named for one damaged object, of each."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the index says of an object that must be there."""

    key: Key
    size: int | None = None
    """Of the bytes it is, or is about."""
    stored: Digest | None = None
    """Of the bytes as they rest, where their name is the digest of something else."""
    layout: Digest | None = None
    """Which a tree has."""


@dataclass(frozen=True, slots=True)
class Dependents:
    """What relies on an object: the first of each, and whether there are more."""

    trees: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    attestations: tuple[str, ...] = ()
    more: bool = False


Rows = sa.Select[Any]  # Any: columns of several types
_Column = sa.ColumnElement[Any]  # Any: of any of them


async def names(connection: AsyncConnection, area: Area) -> int:
    """About how many objects lie in `area`; 0 where the index does not count them."""
    rows = _rows(area)
    if rows is None:
        return 0
    return int(await connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0)


async def expected(connection: AsyncConnection, area: Area) -> dict[str, Expected]:
    """The objects that must lie in `area`, by their keys."""
    rows, one = _rows(area), _READ.get(area.kind)
    if rows is None or one is None:
        return {}
    found = [one(area, *row) for row in (await connection.execute(rows)).all()]
    return {str(known.key): known for known in found}


def _rows(area: Area) -> Rows | None:
    made = _ROWS.get(area.kind)
    return None if made is None else made(area)


def _within(area: Area, table: sa.Table, named: sa.Column[bytes], *columns: _Column) -> Rows:
    rows: Rows = sa.select(*[named, *columns])
    return rows.where(table.c.project == area.project, named.between(area.first, area.last))


def _receipts(area: Area) -> Rows:
    rows = _within(area, receipt, receipt.c.digest, sa.func.max(receipt.c.size).label("size"))
    if area.kind == Kind.RECEIPT:
        rows = rows.where(receipt.c.kind == area.detail)
    return rows.group_by(receipt.c.digest)


def _manifests(area: Area) -> Rows:
    return _within(area, tree, tree.c.digest, tree.c.stored_size, tree.c.stored)


def _tree_receipts(area: Area) -> Rows:
    columns = (tree.c.digest, tree.c.size, tree.c.layout)
    return _within(area, tree, *columns).where(tree.c.state == TreeState.PRESENT.value)


def _layouts(area: Area) -> Rows:
    columns = (tree.c.layout, tree.c.layout_stored_size, tree.c.layout_stored)
    return _within(area, tree, *columns).where(tree.c.state == TreeState.PRESENT.value)


def _segments(area: Area) -> Rows:
    mine = (step.c.project == area.project, step.c.segment.is_not(None))
    return sa.select(step.c.segment).where(*mine).distinct()


def _bundles(area: Area) -> Rows:
    # Until its object is durable, the step keeps the bundle.
    same = sa.and_(attestation.c.project == step.c.project, attestation.c.step == step.c.id)
    rows = (
        sa.select(attestation.c.digest)
        .join(step, same)
        .where(step.c.record.is_(None), attestation.c.digest.between(area.first, area.last))
    )
    return rows if area.project is None else rows.where(attestation.c.project == area.project)


_ROWS: Final[dict[str, Callable[[Area], Rows]]] = {
    Kind.BLOB: _receipts,
    Kind.RECEIPT: _receipts,
    Kind.MANIFEST: _manifests,
    Kind.TREE_RECEIPT: _tree_receipts,
    Kind.LAYOUT: _layouts,
    Kind.SEGMENT: _segments,
    BUNDLE: _bundles,
}
"""Which rows tell of the objects of a kind; of the others the index knows nothing."""
COUNTED: Final = frozenset({Kind.BLOB, Kind.RECEIPT, Kind.MANIFEST, Kind.TREE_RECEIPT, Kind.LAYOUT})
"""Objects that are removed when nobody needs them: those that count have a row."""


def _blob(area: Area, raw: bytes, size: int) -> Expected:
    return Expected(layout.blob(area.project or "", Digest.sha256(raw)), size)


def _receipt(area: Area, raw: bytes, size: int) -> Expected:
    return Expected(layout.receipt(area.project or "", Digest.sha256(raw), area.detail or ""), size)


def _manifest(area: Area, raw: bytes, size: int | None, stored: bytes) -> Expected:
    return Expected(layout.manifest(area.project or "", Digest.sha256(raw)), size, Digest.sha256(stored))


def _tree_receipt(area: Area, raw: bytes, size: int, laid: bytes) -> Expected:
    key = layout.receipt(area.project or "", Digest.sha256(raw), "tree")
    return Expected(key, size, layout=Digest.sha256(laid))


def _layout(area: Area, raw: bytes, size: int | None, stored: bytes) -> Expected:
    return Expected(layout.tree_layout(area.project or "", Digest.sha256(raw)), size, Digest.sha256(stored))


def _segment(area: Area, segment: str) -> Expected:
    _ = area
    return Expected(Key(segment))


def _bundle(area: Area, raw: bytes) -> Expected:
    _ = area
    return Expected(layout.attestation(Digest.sha256(raw)))


_READ: Final[dict[str, Callable[..., Expected]]] = {
    Kind.BLOB: _blob,
    Kind.RECEIPT: _receipt,
    Kind.MANIFEST: _manifest,
    Kind.TREE_RECEIPT: _tree_receipt,
    Kind.LAYOUT: _layout,
    Kind.SEGMENT: _segment,
    BUNDLE: _bundle,
}


async def still_expected(connection: AsyncConnection, item: Item) -> Expected | None:
    """What the index says of one object now: it may be removed, or written anew, meanwhile."""
    hexed = "" if item.digest is None or item.kind == Kind.SEGMENT else item.digest.hex
    area = Area(str(item.key), item.kind, item.project, item.detail, hexed)
    return (await expected(connection, area)).get(str(item.key))


# What depends on an object


async def dependents(connection: AsyncConnection, item: Item) -> Dependents:
    """What relies on the object `item`, directly or through a tree."""
    if item.kind == Kind.SEGMENT:
        sealed = sa.select(step.c.id).where(step.c.project == item.project, step.c.segment == str(item.key))
        return _told([], await _some(connection, sealed), [])
    if item.kind == BUNDLE and item.digest is not None:
        stated = sa.select(attestation.c.step).where(attestation.c.digest == item.digest.raw)
        return _told([], await _some(connection, stated), [item.digest.raw])
    if item.kind == Kind.REFUSAL:
        return Dependents(steps=(item.detail,))
    if item.project is None or item.digest is None or item.kind == Kind.JOURNAL:
        return Dependents()
    return await _of_bytes(connection, item.project, item.kind, item.digest)


async def _of_bytes(connection: AsyncConnection, project: str, kind: str, digest: Digest) -> Dependents:
    trees = await _some(connection, _trees(project, kind, digest))
    # A layout is nobody's input or output, and its digest may be a blob's by chance.
    named = [] if kind == Kind.LAYOUT else [address(digest)]
    addresses = [*named, *trees[:MAX_DEPENDENTS]]
    steps = await _some(connection, _steps(project, addresses))
    return _told(trees, steps, await _some(connection, _attestations(project, addresses)))


def _trees(project: str, kind: str, digest: Digest) -> Rows:
    if kind in {Kind.MANIFEST, Kind.TREE_RECEIPT}:
        return sa.select(tree.c.digest).where(tree.c.project == project, tree.c.digest == digest.raw)
    if kind == Kind.LAYOUT:
        return sa.select(tree.c.digest).where(tree.c.project == project, tree.c.layout == digest.raw)
    same = sa.and_(tree.c.project == tree_part.c.project, tree.c.digest == tree_part.c.tree)
    part = (tree_part.c.project == project, tree_part.c.part == digest.raw)
    present = tree.c.state == TreeState.PRESENT.value
    return sa.select(tree_part.c.tree).join(tree, same).where(*part, present).distinct()


def _steps(project: str, addresses: Collection[bytes]) -> Rows:
    made, used = (
        sa.select(table.c.step).where(table.c.project == project, table.c.address.in_(addresses))
        for table in (step_output, step_input)
    )
    return sa.select(sa.union(made, used).subquery().c.step)


def _attestations(project: str, addresses: Collection[bytes]) -> Rows:
    about = attestation_subject.c
    return (
        sa.select(about.attestation).where(about.project == project, about.address.in_(addresses)).distinct()
    )


async def _some(connection: AsyncConnection, rows: Rows) -> list[Any]:
    """The first of one column, and one more than are told."""
    found = await connection.scalars(rows.order_by(rows.selected_columns[0]).limit(MAX_DEPENDENTS + 1))
    return list(found.all())


def _told(trees: list[bytes], steps: list[str], attestations: list[bytes]) -> Dependents:
    return Dependents(
        tuple(str(Digest.sha256(raw)) for raw in trees[:MAX_DEPENDENTS]),
        tuple(steps[:MAX_DEPENDENTS]),
        tuple(str(Digest.sha256(raw)) for raw in attestations[:MAX_DEPENDENTS]),
        more=max(len(trees), len(steps), len(attestations)) > MAX_DEPENDENTS,
    )


# What mending changes


async def trees_laid_out(connection: AsyncConnection, project: str, laid: Digest) -> list[Digest]:
    """Present trees whose layout that is."""
    found = await connection.scalars(
        sa.select(tree.c.digest).where(
            tree.c.project == project,
            tree.c.layout == laid.raw,
            tree.c.state == TreeState.PRESENT.value,
        )
    )
    return [Digest.sha256(raw) for raw in found]


async def renew_manifest(
    connection: AsyncConnection, project: str, digest: Digest, *, stored: Digest, size: int
) -> None:
    """Note how the manifest of a tree rests now: the same text may be compressed in many ways."""
    await connection.execute(
        sa.update(tree)
        .where(tree.c.project == project, tree.c.digest == digest.raw)
        .values(stored=stored.raw, stored_size=size)
    )


async def renew_layout(
    connection: AsyncConnection, project: str, laid: Digest, *, stored: Digest, size: int
) -> None:
    """Note how a layout rests now."""
    await connection.execute(
        sa.update(tree)
        .where(tree.c.project == project, tree.c.layout == laid.raw)
        .values(layout_stored=stored.raw, layout_stored_size=size)
    )
