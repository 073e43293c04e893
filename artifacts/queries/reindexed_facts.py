"""What an index learns from journal files and receipts, and what it knows of them already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.dialect import Insert, insert_new, insert_one, insert_or_renew, slices
from artifacts.steps import StepState
from artifacts.tables import artifact, attestation, receipt, run, step, token
from artifacts.tables import project as project_table


@dataclass(frozen=True, slots=True)
class TokenFact:
    """A token as the journal tells of it; `digest` is the hash of its secret."""

    project: str
    id: str
    label: str
    digest: bytes
    at: int


@dataclass(frozen=True, slots=True)
class RevocationFact:
    """A token that was revoked: its id, and the hash of its secret where that is known.

    A secret may have been journaled under several ids, of which the index has one; the hash
    finds it under whichever.
    """

    project: str
    id: str
    digest: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run as the journal tells of it; `found_by` is the name by which others find it."""

    project: str
    id: str
    name: str
    found_by: str | None
    principal: str
    at: int


@dataclass(frozen=True, slots=True)
class ReceiptFact:
    """Bytes that were hashed."""

    project: str
    digest: bytes
    kind: str
    size: int
    at: int


async def add_tokens(connection: AsyncConnection, facts: Sequence[TokenFact]) -> None:
    """Make tokens known, each secret under its oldest id; one that is revoked stays so."""
    for fact in facts:
        row = {
            "id": fact.id,
            "project": fact.project,
            "hash": fact.digest,
            "label": fact.label,
            "created_at": fact.at,
        }
        if not await insert_one(connection, token, row):
            # The secret was journaled before under an older id: the principals of records have that.
            # Of two of one moment it is the smaller, in whatever order they are read.
            at_once = sa.and_(token.c.created_at == fact.at, token.c.id > fact.id)
            older = sa.and_(token.c.hash == fact.digest, sa.or_(token.c.created_at > fact.at, at_once))
            await connection.execute(sa.update(token).where(older).values(id=fact.id, created_at=fact.at))


async def revoke_tokens(connection: AsyncConnection, revoked: Sequence[RevocationFact]) -> None:
    """Revoke tokens, by id and by hash; the first revocation counts."""
    for fact in revoked:
        named = token.c.id == fact.id
        if fact.digest is not None:
            named = sa.or_(named, token.c.hash == fact.digest)
        mine = sa.and_(token.c.project == fact.project, named, token.c.revoked_at.is_(None))
        await connection.execute(sa.update(token).where(mine).values(revoked_at=fact.at))


async def add_runs(connection: AsyncConnection, facts: Sequence[RunFact]) -> list[RunFact]:
    """Make runs known; return those whose name was given to another run before."""
    later = []
    for fact in facts:
        row = {
            "project": fact.project,
            "id": fact.id,
            "name": fact.name,
            "principal": fact.principal,
            "began_at": fact.at,
        }
        if await insert_one(connection, run, {**row, "found_by": fact.found_by}):
            continue
        if await insert_one(connection, run, row):
            later.append(fact)
    return later


async def give_name(connection: AsyncConnection, fact: RunFact) -> bool:
    """Let `fact` be found by its name if it has steps, and the run that is found has none.

    Two who began a run of one name at once both wrote of it, and only the one who was first
    had it; steps are in that one.
    """
    mine = sa.and_(run.c.project == fact.project, run.c.found_by == fact.found_by)
    other = await connection.scalar(sa.select(run.c.id).where(mine))
    if not await _has_steps(connection, fact.project, fact.id):
        return False
    if other is not None and await _has_steps(connection, fact.project, other):
        return False
    await connection.execute(sa.update(run).where(mine).values(found_by=None))
    same = sa.and_(run.c.project == fact.project, run.c.id == fact.id)
    await connection.execute(sa.update(run).where(same).values(found_by=fact.found_by))
    return True


async def _has_steps(connection: AsyncConnection, project: str, id_: str) -> bool:
    found = sa.select(sa.literal(1)).where(step.c.project == project, step.c.run == id_).limit(1)
    return await connection.scalar(found) is not None


async def add_receipts(connection: AsyncConnection, facts: Sequence[ReceiptFact], *, now: int) -> None:
    """Make stored bytes known, each as an artifact."""
    stored = {(fact.project, fact.digest) for fact in facts}
    named = {"algorithm": "sha256", "created_at": now, "named_at": now}
    rows = [
        {"project": project, "address": digest, "digest": digest, **named}
        for project, digest in sorted(stored)
    ]
    await insert_new(connection, artifact, rows)
    receipts = [
        {
            "project": fact.project,
            "digest": fact.digest,
            "kind": fact.kind,
            "size": fact.size,
            "hashed_at": fact.at,
        }
        for fact in facts
    ]
    await insert_or_renew(connection, receipt, receipts, _as_it_lies)


def _as_it_lies(adding: Insert) -> Insert:
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=["project", "digest", "kind"], set_={"size": new.size, "hashed_at": new.hashed_at}
    )


async def without_receipt(
    connection: AsyncConnection, project: str, digests: Sequence[bytes], *, kind: str | None = None
) -> list[bytes]:
    """Those of `digests` for which there is no receipt, or none of `kind`."""
    known: set[bytes] = set()
    for some in slices(digests):
        found = sa.select(receipt.c.digest).where(receipt.c.project == project, receipt.c.digest.in_(some))
        if kind is not None:
            found = found.where(receipt.c.kind == kind)
        known.update(await connection.scalars(found))
    return [digest for digest in digests if digest not in known]


async def known_steps(connection: AsyncConnection, project: str, ids: Collection[str]) -> set[str]:
    """Those of `ids` that are steps the index has, in whatever state."""
    asked, known = sorted(ids), set[str]()
    for some in slices(asked):
        found = sa.select(step.c.id).where(step.c.project == project, step.c.id.in_(some))
        known.update(await connection.scalars(found))
    return known


async def standing_records(
    connection: AsyncConnection, project: str, ids: Collection[str]
) -> dict[str, tuple[bytes, bool]]:
    """The digests of the records of those of `ids` that are finished, and whether each is signed."""
    asked, standing = sorted(ids), dict[str, tuple[bytes, bool]]()
    for some in slices(asked):
        found = await connection.execute(
            sa.select(step.c.id, step.c.record_digest, step.c.state).where(
                step.c.project == project, step.c.id.in_(some), step.c.record_digest.is_not(None)
            )
        )
        standing |= {id_: (digest, state == StepState.SIGNED) for id_, digest, state in found}
    return standing


async def segments_of(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """The segments in which records of `ids` lie, in whatever project."""
    asked, segments = sorted(ids), set[str]()
    for some in slices(asked):
        found = sa.select(step.c.segment).where(step.c.id.in_(some), step.c.segment.is_not(None))
        segments.update(await connection.scalars(found))
    return segments


async def all_statements(connection: AsyncConnection) -> set[bytes]:
    """The digests of all statements the index has."""
    return set(await connection.scalars(sa.select(attestation.c.digest)))


async def known_segments(connection: AsyncConnection, project: str) -> set[str]:
    """The segments from which the index has records."""
    found = sa.select(step.c.segment).where(step.c.project == project, step.c.segment.is_not(None)).distinct()
    return set(await connection.scalars(found))


async def newest_finish(connection: AsyncConnection) -> int | None:
    """When the newest finished step was finished."""
    newest: int | None = await connection.scalar(sa.select(sa.func.max(step.c.finished_at)))
    return newest


async def projects(connection: AsyncConnection) -> list[str]:
    """Every project the index has."""
    return list(await connection.scalars(sa.select(project_table.c.name).order_by(project_table.c.name)))
