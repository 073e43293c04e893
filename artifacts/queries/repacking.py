"""Packing anew: which packs hold what is still used, and what takes the place of what.

A pack stands in the index (`pack`) as long as contents may be placed in it. Packing anew
takes its row away in the very transaction that writes where its contents lie from then on,
so that whoever placed a tree in it meanwhile sees that, and places the tree again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries import locations, locks, queue, removals, trees
from artifacts.queries.dialect import insert_new, locked, slices
from artifacts.queries.locations import SeenPack
from artifacts.tables import (
    hold,
    last_use,
    location,
    pack,
    receipt,
    reference,
    step_input,
    step_output,
    tombstone,
    tree,
    tree_part,
)
from artifacts.tables import project as projects
from artifacts.tables import queue as jobs
from artifacts.trees.claims import PackClaim
from artifacts.trees.packs import Location
from artifacts.trees.states import TreeRow, TreeState, Verdict

REPACK: Final = "repack"
"""The queue of what follows; its topics are those of `laying` and `leaving`."""
_PACKING: Final = Digest.of(b"where contents of this project lie")
"""No digest of anything that is stored, but one to lock."""


@dataclass(frozen=True, slots=True)
class KnownPack:
    """A pack in which contents are placed."""

    digest: bytes
    size: int
    quiet_since: int
    """When it came, was last looked into, or a caller was last told that it is here."""


@dataclass(frozen=True, slots=True)
class Move:
    """Old packs, new ones, and where everything lies that is taken along."""

    old: Sequence[bytes]
    new: Sequence[SeenPack]
    places: Sequence[Location]
    frames: frozenset[tuple[bytes, int, bytes, int]]
    """Which new frame (pack, offset) has something of which old one, as (old, old, new, new)."""


async def project_names(connection: AsyncConnection) -> list[str]:
    """Every project."""
    return list((await connection.scalars(sa.select(projects.c.name).order_by(projects.c.name))).all())


async def known_packs(
    connection: AsyncConnection, project: str, among: Collection[bytes] | None = None
) -> list[KnownPack]:
    """The packs of a project in which contents are placed; only those `among` these, if there are some."""
    named = sa.and_(last_use.c.project == pack.c.project, last_use.c.digest == pack.c.digest)
    hashed = (
        sa.select(sa.func.max(receipt.c.hashed_at))
        .where(receipt.c.project == pack.c.project, receipt.c.digest == pack.c.digest)
        .scalar_subquery()
    )
    found = await connection.execute(
        sa.select(pack.c.digest, pack.c.size, pack.c.checked_at, last_use.c.named_at, hashed)
        .outerjoin(last_use, named)
        .where(pack.c.project == project, sa.true() if among is None else pack.c.digest.in_(among))
        .order_by(pack.c.digest)
    )
    return [KnownPack(raw, size, max(at, told or 0, came or 0)) for raw, size, at, told, came in found]


async def present_trees(connection: AsyncConnection, project: str) -> list[Digest]:
    """The trees of a project that are present."""
    found = await connection.scalars(
        sa.select(tree.c.digest)
        .where(tree.c.project == project, tree.c.state == TreeState.PRESENT.value)
        .order_by(tree.c.digest)
    )
    return [Digest.sha256(raw) for raw in found]


async def trees_left_at(connection: AsyncConnection, project: str) -> int:
    """When a tree of the project was last removed; 0 where none ever was."""
    found = await connection.scalar(
        sa.select(sa.func.max(tombstone.c.decided_at)).where(
            tombstone.c.project == project, tombstone.c.kind == "tree"
        )
    )
    return int(found or 0)


async def trees_over(connection: AsyncConnection, project: str, parts: Collection[bytes]) -> list[Digest]:
    """The present trees that are made of any of these packs and blobs."""
    same = sa.and_(tree.c.project == tree_part.c.project, tree.c.digest == tree_part.c.tree)
    found: set[bytes] = set()
    for some in slices(sorted(parts)):
        found.update(
            await connection.scalars(
                sa.select(tree_part.c.tree)
                .join(tree, same)
                .where(
                    tree_part.c.project == project,
                    tree_part.c.part.in_(some),
                    tree.c.state == TreeState.PRESENT.value,
                )
                .distinct()
            )
        )
    return [Digest.sha256(raw) for raw in sorted(found)]


async def lying_in(connection: AsyncConnection, project: str, packs: Collection[bytes]) -> list[Location]:
    """Every content that is placed in any of `packs`, in their order. Reads every location of the project."""
    columns = [location.c[name] for name in Location._fields]
    places: list[Location] = []
    for some in slices(sorted(packs)):
        found = await connection.execute(
            sa.select(*columns).where(location.c.project == project, location.c.pack.in_(some))
        )
        places += [Location._make(row) for row in found]
    return sorted(places, key=lambda place: (place.pack, place.frame_offset, place.start))


async def packs_with_gaps(connection: AsyncConnection, project: str) -> set[bytes]:
    """The packs that hold more than what is placed in them: contents that lay elsewhere already.

    Reads every location of the project.
    """
    frames = (
        sa.select(
            location.c.pack,
            sa.func.max(location.c.frame_length).label("length"),
            (sa.func.max(location.c.frame_size) - sa.func.sum(location.c.size)).label("gap"),
        )
        .where(location.c.project == project)
        .group_by(location.c.pack, location.c.frame_offset)
        .subquery()
    )
    placed = await connection.execute(
        sa.select(frames.c.pack, sa.func.sum(frames.c.length), sa.func.max(frames.c.gap)).group_by(
            frames.c.pack
        )
    )
    whole = {raw: int(length) for raw, length, gap in placed if int(gap) == 0}
    return {
        known.digest
        for known in await known_packs(connection, project)
        if whole.get(known.digest) != known.size
    }


async def lock_packs(connection: AsyncConnection, project: str, packs: Collection[bytes]) -> dict[bytes, int]:
    """Those of `packs` in which contents may be placed, and their sizes.

    In a transaction that may write it stays so to the end.
    """
    sizes: dict[bytes, int] = {}
    columns = (pack.c.digest, pack.c.size)
    for some in slices(sorted(packs)):
        asked = sa.select(*columns).where(pack.c.project == project, pack.c.digest.in_(some))
        wanted: sa.Select[Any] = asked.order_by(pack.c.digest)  # Any: columns of two types
        sizes |= {row.digest: row.size for row in await connection.execute(locked(connection, wanted))}
    return sizes


async def move(connection: AsyncConnection, project: str, moved: Move, *, at: int) -> None:
    """Write that everything that is taken along lies in the new packs, and nothing in the old ones.

    Trees that use an old frame are said to use what of it is new as well, until they are laid
    out anew: so nobody takes the new packs for unused.
    """
    await connection.execute(
        sa.delete(location).where(location.c.project == project, location.c.pack.in_(moved.old))
    )
    await connection.execute(sa.delete(pack).where(pack.c.project == project, pack.c.digest.in_(moved.old)))
    for seen in moved.new:
        mine = [place for place in moved.places if place.pack == seen.digest.raw]
        await locations.add_pack(connection, project, seen, mine, at=at)
    await _share_parts(connection, project, moved)


async def _share_parts(connection: AsyncConnection, project: str, moved: Move) -> None:
    used = await connection.execute(
        sa.select(tree_part.c.part, tree_part.c.frame_offset, tree_part.c.tree).where(
            tree_part.c.project == project, tree_part.c.part.in_(moved.old)
        )
    )
    users: dict[tuple[bytes, int], list[bytes]] = {}
    for part, offset, user in used:
        users.setdefault((part, offset), []).append(user)
    rows = {
        (part, offset, user)
        for old, old_offset, part, offset in moved.frames
        for user in users.get((old, old_offset), ())
    }
    await insert_new(
        connection,
        tree_part,
        [
            {"project": project, "part": part, "frame_offset": offset, "tree": user}
            for part, offset, user in sorted(rows)
        ],
    )


async def lay(
    connection: AsyncConnection,
    project: str,
    known: TreeRow,
    verdict: Verdict,
    parts: Collection[tuple[bytes, int]],
) -> bool:
    """Write what became of the present tree `known`; False where it changed meanwhile."""
    changed = await connection.execute(
        sa.update(tree)
        .where(
            tree.c.project == project,
            tree.c.digest == known.digest.raw,
            tree.c.state == TreeState.PRESENT.value,
            tree.c.layout == (None if known.layout is None else known.layout.raw),
        )
        .values(**trees.found_as(verdict))
    )
    if changed.rowcount != 1:
        return False
    await connection.execute(
        sa.delete(tree_part).where(tree_part.c.project == project, tree_part.c.tree == known.digest.raw)
    )
    await trees.add_parts(connection, project, known.digest, parts)
    return True


async def named_at(connection: AsyncConnection, project: str, pack_: Digest) -> int:
    """When a caller was last told that this pack is here; 0 where none ever was."""
    found = await connection.scalar(
        sa.select(last_use.c.named_at).where(last_use.c.project == project, last_use.c.digest == pack_.raw)
    )
    return int(found or 0)


async def kept_for_themselves(
    connection: AsyncConnection, project: str, packs: Collection[bytes]
) -> set[bytes]:
    """Those of `packs` that somebody names with a name, a URI or a step, or that are held.

    That somebody sent one is no reason to keep it: every pack was sent by somebody.
    """
    kept: set[bytes] = set()
    columns = (reference.c.address, step_input.c.address, step_output.c.address, hold.c.digest)
    for some in slices(sorted(packs)):
        for column in columns:
            asked = sa.select(column).where(column.table.c.project == project, column.in_(some))
            kept.update(await connection.scalars(asked.distinct()))
    return kept


async def all_stored(connection: AsyncConnection, project: str, blobs: Collection[bytes]) -> bool:
    """Whether each of `blobs` has a receipt; in a transaction that may write it stays so."""
    for some in slices(sorted(blobs)):
        wanted = (
            sa.select(receipt.c.digest)
            .where(receipt.c.project == project, receipt.c.digest.in_(some))
            .order_by(receipt.c.digest)
        )
        if len(set((await connection.scalars(locked(connection, wanted))).all())) != len(some):
            return False
    return True


async def lock_packing(connection: AsyncConnection, project: str, *, to_purge: bool) -> None:
    """Until this transaction ends, nobody purges; with `to_purge` nobody writes where contents lie.

    Whoever writes that looks under this lock whether anything of it was purged.
    """
    await (locks.alone if to_purge else locks.beside)(connection, project, [_PACKING])


async def purged_in(connection: AsyncConnection, project: str, claim: PackClaim) -> bool:
    """Whether a pack, or a content of it, was purged; in a transaction that may write it stays so."""
    await locks.beside(connection, project, [_PACKING, claim.digest])
    contents = [file.digest for frame in claim.frames for file in frame.files]
    return bool(await removals.barred(connection, project, [claim.digest.raw, *contents]))


def laying(tree: Digest) -> str:
    """The topic of a tree that is to be laid out anew."""
    return f"tree/{tree.hex}"


def leaving(old: Digest, purged: Digest | None) -> str:
    """The topic of a pack that is to be removed; for good, where something in it was purged."""
    return f"pack/{old.hex}" if purged is None else f"pack/{old.hex}/{purged.hex}"


async def still_due(connection: AsyncConnection, project: str, kinds: Sequence[str], *, by: int) -> int:
    """How many jobs of a project are to be done by then, or under way."""
    counted = await connection.scalar(
        sa.select(sa.func.count()).where(
            jobs.c.project == project, jobs.c.kind.in_(kinds), jobs.c.available_at <= by
        )
    )
    return int(counted or 0)


async def leaving_packs(connection: AsyncConnection, project: str) -> list[bytes]:
    """Old packs that wait to be removed once their grace period is over."""
    found = await connection.scalars(
        sa.select(jobs.c.topic).where(
            jobs.c.project == project, jobs.c.kind == REPACK, jobs.c.topic.like("pack/%")
        )
    )
    return sorted(bytes.fromhex(topic.split("/")[1]) for topic in found if topic.count("/") == 1)


async def follow(
    connection: AsyncConnection, project: str, topics: Iterable[str], *, available_at: int
) -> None:
    """Put what follows from packing anew on the queue."""
    jobs = [(project, REPACK, topic) for topic in topics]
    await queue.enqueue_again(connection, jobs, available_at=available_at)
