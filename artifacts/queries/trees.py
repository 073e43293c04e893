"""Trees: how far each has come, and what is claimed of the packs it lies in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.queries.dialect import insert_new, insert_one
from artifacts.steps import StepState
from artifacts.tables import artifact, receipt, step, step_output, tree, tree_claim, tree_part, tree_sender
from artifacts.trees.states import TreeRow, TreeState, Verdict

BLOB_PART = -1
"""Where other parts have the offset of a frame, a blob has this."""
_PARTS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class KeptClaim:
    """A claim as it waits; `body` is believed no more than when it came."""

    id: Digest
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredOutput:
    """An output of a step; without `size` its bytes are not stored."""

    name: str
    digest: Digest
    size: int | None


async def outputs_below(
    connection: AsyncConnection, project: str, step_id: str, below: str
) -> list[StoredOutput]:
    """The outputs and byproducts of a step whose names begin with `below`."""
    made = sa.and_(artifact.c.project == step_output.c.project, artifact.c.address == step_output.c.address)
    size = (
        sa.select(sa.func.max(receipt.c.size))
        .where(receipt.c.project == artifact.c.project, receipt.c.digest == artifact.c.digest)
        .scalar_subquery()
    )
    found = await connection.execute(
        sa.select(step_output.c.name, artifact.c.algorithm, artifact.c.digest, size)
        .join(artifact, made)
        .where(
            step_output.c.project == project,
            step_output.c.step == step_id,
            sa.func.substr(step_output.c.name, 1, len(below)) == below,
        )
        .order_by(step_output.c.name)
    )
    return [
        StoredOutput(name, Digest(algorithm, raw.hex()), stored if algorithm == "sha256" else None)
        for name, algorithm, raw, stored in found
    ]


async def add_tree(connection: AsyncConnection, project: str, row: TreeRow, *, at: int) -> bool:
    """Remember a tree whose manifest is stored; return whether it was new."""
    return await insert_one(
        connection,
        tree,
        {
            "project": project,
            "digest": row.digest.raw,
            "state": row.state.value,
            "reason": row.reason,
            "entries": row.entries,
            "size": row.size,
            "stored": row.stored.raw,
            "stored_size": row.stored_size,
            "changed_at": at,
        },
    )


async def find_tree(connection: AsyncConnection, project: str, digest: Digest) -> TreeRow | None:
    """The tree `digest` of `project`, or None."""
    if digest.algorithm != "sha256":
        return None
    found = await connection.execute(
        sa.select(
            tree.c.state,
            tree.c.reason,
            tree.c.missing,
            tree.c.entries,
            tree.c.size,
            tree.c.stored,
            tree.c.layout,
            tree.c.layout_stored,
            tree.c.stored_size,
        ).where(tree.c.project == project, tree.c.digest == digest.raw)
    )
    row = found.one_or_none()
    if row is None:
        return None
    return TreeRow(
        digest=digest,
        state=TreeState(row.state),
        reason=row.reason,
        missing=tuple(orjson.loads(row.missing)) if row.missing else (),
        entries=row.entries,
        size=row.size,
        stored=Digest.sha256(row.stored),
        layout=None if row.layout is None else Digest.sha256(row.layout),
        layout_stored=None if row.layout_stored is None else Digest.sha256(row.layout_stored),
        stored_size=row.stored_size,
    )


async def note_sender(connection: AsyncConnection, project: str, digest: Digest, step: str) -> None:
    """Remember that the token of `step` sent the manifest of a tree."""
    await insert_new(connection, tree_sender, [{"project": project, "tree": digest.raw, "step": step}])


async def forget_senders(connection: AsyncConnection, *, now: int) -> int:
    """Forget what tokens sent that nobody can show any more; return how much that was."""
    theirs = sa.and_(step.c.project == tree_sender.c.project, step.c.id == tree_sender.c.step)
    over = sa.select(sa.literal(1)).where(theirs, step.c.expires_at <= now, step.c.state != StepState.OPEN)
    gone = await connection.execute(sa.delete(tree_sender).where(over.exists()))
    return gone.rowcount


async def was_sent(connection: AsyncConnection, project: str, digest: Digest, step: str) -> bool:
    """Whether the token of `step` sent the manifest of a tree."""
    found = await connection.scalar(
        sa.select(sa.literal(1)).where(
            tree_sender.c.project == project, tree_sender.c.tree == digest.raw, tree_sender.c.step == step
        )
    )
    return found is not None


async def states(
    connection: AsyncConnection, project: str, digests: Sequence[Digest]
) -> dict[Digest, TreeState]:
    """The states of those of `digests` that are trees here."""
    if not digests:
        return {}
    found = await connection.execute(
        sa.select(tree.c.digest, tree.c.state).where(
            tree.c.project == project, tree.c.digest.in_([digest.raw for digest in digests])
        )
    )
    return {Digest.sha256(raw): TreeState(state) for raw, state in found}


async def begin_check(connection: AsyncConnection, project: str, digest: Digest, *, at: int) -> bool:
    """Mark a tree as being checked; False where it is present already.

    It comes before the claim and the job are added, and so waits for a worker that is
    about to end a check of the same tree: the worker then sees the claim, or the job is new.
    """
    marked = await connection.execute(
        sa.update(tree)
        .where(tree.c.project == project, tree.c.digest == digest.raw, tree.c.state != TreeState.PRESENT)
        .values(state=TreeState.CHECKING.value, reason=None, missing=None, changed_at=at)
    )
    return marked.rowcount == 1


async def end_check(
    connection: AsyncConnection, project: str, digest: Digest, verdict: Verdict, *, at: int
) -> None:
    """Write down what a worker found."""
    await connection.execute(
        sa.update(tree)
        .where(tree.c.project == project, tree.c.digest == digest.raw, tree.c.state != TreeState.PRESENT)
        .values(**found_as(verdict), changed_at=at)
    )


def found_as(verdict: Verdict) -> dict[str, object]:
    """What a row of a tree says after a worker came to `verdict`."""
    return {
        "state": verdict.state.value,
        "reason": verdict.reason,
        "missing": orjson.dumps(verdict.missing).decode() if verdict.missing else None,
        "layout": None if verdict.layout is None else verdict.layout.raw,
        "layout_stored": None if verdict.layout_stored is None else verdict.layout_stored.raw,
        "layout_stored_size": verdict.layout_stored_size,
    }


async def add_claims(
    connection: AsyncConnection, project: str, digest: Digest, bodies: Iterable[bytes]
) -> None:
    """Keep claims about packs of a tree until a worker has looked."""
    rows = [
        {"project": project, "tree": digest.raw, "claim": Digest.of(body).raw, "body": body}
        for body in bodies
    ]
    await insert_new(connection, tree_claim, rows)


async def claim_ids(connection: AsyncConnection, project: str, digest: Digest) -> list[Digest]:
    """The claims that wait for a worker."""
    found = await connection.scalars(
        sa.select(tree_claim.c.claim)
        .where(tree_claim.c.project == project, tree_claim.c.tree == digest.raw)
        .order_by(tree_claim.c.claim)
    )
    return [Digest.sha256(raw) for raw in found]


async def find_claim(
    connection: AsyncConnection, project: str, digest: Digest, claim: Digest
) -> KeptClaim | None:
    """One claim, or None where it is gone."""
    body = await connection.scalar(
        sa.select(tree_claim.c.body).where(
            tree_claim.c.project == project,
            tree_claim.c.tree == digest.raw,
            tree_claim.c.claim == claim.raw,
        )
    )
    return None if body is None else KeptClaim(claim, body)


async def drop_claims(
    connection: AsyncConnection, project: str, digest: Digest, claims: Collection[Digest]
) -> None:
    """Forget claims that were looked into."""
    if claims:
        await connection.execute(
            sa.delete(tree_claim).where(
                tree_claim.c.project == project,
                tree_claim.c.tree == digest.raw,
                tree_claim.c.claim.in_([claim.raw for claim in claims]),
            )
        )


async def add_parts(
    connection: AsyncConnection, project: str, digest: Digest, parts: Collection[tuple[bytes, int]]
) -> None:
    """Remember the frames and blobs a present tree is made of."""
    rows = [
        {"project": project, "part": part, "frame_offset": offset, "tree": digest.raw}
        for part, offset in sorted(parts)
    ]
    for start in range(0, len(rows), _PARTS_AT_ONCE):
        await insert_new(connection, tree_part, rows[start : start + _PARTS_AT_ONCE])


async def trees_with(
    connection: AsyncConnection, project: str, part: tuple[bytes, int], *, limit: int
) -> list[TreeRow]:
    """Present trees that use a frame or blob, in the order of their digests.

    When a tree became present is not in the bucket: by time, a reindex would change the answer.
    """
    same = sa.and_(tree.c.project == tree_part.c.project, tree.c.digest == tree_part.c.tree)
    found = await connection.scalars(
        sa.select(tree.c.digest)
        .join(tree_part, same)
        .where(
            tree_part.c.project == project,
            tree_part.c.part == part[0],
            tree_part.c.frame_offset == part[1],
            tree.c.state == TreeState.PRESENT.value,
        )
        .order_by(tree.c.digest)
        .limit(limit)
    )
    rows = [await find_tree(connection, project, Digest.sha256(raw)) for raw in found.all()]
    return [row for row in rows if row is not None]
