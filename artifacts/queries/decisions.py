"""Removals and words about holds, as the signer and `reindex` deal with them: as decisions to be kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import from_milliseconds, to_milliseconds
from artifacts.control import Decision, EventName, HoldEvent, RemovalName, Tombstone
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.queries.dialect import Insert, insert_or_renew
from artifacts.tables import hold_event, tombstone, tree_part

GONE: Final = "gone"
"""The state of a removal once nothing lies there any more."""
_LAST_MOMENT: Final = 253_402_300_799_999
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the index has of a decision: nothing to be stated yet, or what is to be."""

    decision: Decision | None
    attested: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision that was signed, and the digest of its bundle."""

    decision: Decision
    bundle: Digest


async def find(connection: AsyncConnection, name: RemovalName | EventName) -> Found | None:
    """The decision `name`; None where there is none, or a later removal of the same.

    Raises:
        InvalidInputError: the row says what nobody here decides.
        LimitExceededError: likewise.
    """
    if isinstance(name, RemovalName):
        return await _removal(connection, name)
    return await _event(connection, name)


def _is_removal(name: RemovalName) -> sa.ColumnElement[bool]:
    columns = tombstone.c
    return sa.and_(
        columns.project == name.project,
        columns.kind == name.kind,
        columns.digest == name.digest.raw,
        columns.generation == name.generation,
    )


def _is_event(name: EventName) -> sa.ColumnElement[bool]:
    columns = hold_event.c
    return sa.and_(
        columns.project == name.project, columns.digest == name.digest.raw, columns.event == name.event
    )


_TOLD: Final = ("reason", "detail", "barred", "size", "decided_at", "gone_at")


async def _removal(connection: AsyncConnection, name: RemovalName) -> Found | None:
    columns = [tombstone.c[one] for one in ("state", "attested", *_TOLD)]
    row = (await connection.execute(sa.select(*columns).where(_is_removal(name)))).one_or_none()
    if row is None:
        return None
    state, attested, *told = row
    if state != GONE:
        return Found(None, attested=False)
    return Found(_tombstone(name, told), attested=attested is not None)


def _tombstone(name: RemovalName, told: Sequence[object]) -> Tombstone:
    # No row is trusted: not even that its columns hold what they are for.
    match told:
        case [str(reason), (str() | None) as detail, bool(barred), int(size), decided_at, gone_at]:
            return Tombstone(name, reason, detail, barred, size, _moment(decided_at), _moment(gone_at))
    raise InvalidInputError("the row does not tell of a removal", topic=name.topic)


async def _event(connection: AsyncConnection, name: EventName) -> Found | None:
    columns = [hold_event.c[one] for one in ("attested", "state", "reason", "at")]
    row = (await connection.execute(sa.select(*columns).where(_is_event(name)))).one_or_none()
    if row is None:
        return None
    match list(row):
        case [attested, str(state), str(reason), at]:
            return Found(HoldEvent(name, state, reason, _moment(at)), attested=attested is not None)
    raise InvalidInputError("the row does not tell of a hold", topic=name.topic)


def _moment(value: object) -> datetime:
    if not isinstance(value, int) or not 0 <= value <= _LAST_MOMENT:
        raise InvalidInputError("not a moment", given=str(value)[:40])
    return from_milliseconds(value)


async def attested(connection: AsyncConnection, name: RemovalName | EventName, bundle: Digest) -> None:
    """Note that the decision `name` is signed, as the bundle whose bytes have that digest."""
    if isinstance(name, RemovalName):
        await connection.execute(sa.update(tombstone).where(_is_removal(name)).values(attested=bundle.raw))
    else:
        await connection.execute(sa.update(hold_event).where(_is_event(name)).values(attested=bundle.raw))


# What follows is for whoever fills an index again.


async def keep(connection: AsyncConnection, kept: Sequence[Kept]) -> None:
    """Write decisions that were signed; the last removal of a digest counts, and no row goes back."""
    newest: dict[tuple[str, str, bytes], dict[str, object]] = {}
    events = []
    for one in sorted(kept, key=lambda each: each.decision.name.topic):
        if isinstance(one.decision, HoldEvent):
            events.append(_event_row(one.decision, one.bundle))
        else:
            row = _removal_row(one.decision, one.bundle)
            name = one.decision.name
            known = newest.get((name.project, name.kind, name.digest.raw))
            if known is None or int(str(known["generation"])) < name.generation:
                newest[name.project, name.kind, name.digest.raw] = row
    await insert_or_renew(connection, tombstone, [newest[key] for key in sorted(newest)], _forward)
    await insert_or_renew(connection, hold_event, events, _signed)


def _removal_row(one: Tombstone, bundle: Digest) -> dict[str, object]:
    return {
        "project": one.name.project,
        "kind": one.name.kind,
        "digest": one.name.digest.raw,
        "generation": one.name.generation,
        "state": GONE,
        "reason": one.reason,
        "detail": one.detail,
        "barred": one.barred,
        "size": one.size,
        "decided_at": to_milliseconds(one.decided_at),
        "gone_at": to_milliseconds(one.gone_at),
        "attested": bundle.raw,
    }


def _event_row(one: HoldEvent, bundle: Digest) -> dict[str, object]:
    return {
        "project": one.name.project,
        "digest": one.name.digest.raw,
        "event": one.name.event,
        "state": one.state,
        "reason": one.reason,
        "at": to_milliseconds(one.at),
        "attested": bundle.raw,
    }


def _forward(adding: Insert) -> Insert:
    new, known = adding.excluded, tombstone.c
    return adding.on_conflict_do_update(
        index_elements=["project", "kind", "digest"],
        set_={name: new[name] for name in ("generation", "state", *_TOLD, "attested")},
        where=sa.or_(
            known.generation < new.generation,
            sa.and_(known.generation == new.generation, known.attested.is_(None)),
        ),
    )


def _signed(adding: Insert) -> Insert:
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=["project", "digest", "event"],
        set_={name: new[name] for name in ("state", "reason", "at", "attested")},
    )


async def known(
    connection: AsyncConnection, names: Collection[RemovalName | EventName]
) -> set[RemovalName | EventName]:
    """Those of `names` that the index has; a removal also where it knows of a later one."""
    removals = [name for name in names if isinstance(name, RemovalName)]
    events = [name for name in names if isinstance(name, EventName)]
    columns = tombstone.c
    found = await connection.execute(
        sa.select(columns.project, columns.kind, columns.digest, columns.generation).where(
            columns.digest.in_([name.digest.raw for name in removals])
        )
    )
    last = {(project, kind, digest): generation for project, kind, digest, generation in found}
    told = await connection.execute(
        sa.select(hold_event.c.project, hold_event.c.digest, hold_event.c.event).where(
            hold_event.c.event.in_([name.event for name in events])
        )
    )
    said = {(project, digest, event) for project, digest, event in told}
    return {
        *(one for one in removals if last.get((one.project, one.kind, one.digest.raw), 0) >= one.generation),
        *(one for one in events if (one.project, one.digest.raw, one.event) in said),
    }


async def trees_made_of(connection: AsyncConnection, project: str, part: Digest) -> list[Digest]:
    """The trees of which the index knows that they are made of this blob or pack."""
    mine = sa.and_(tree_part.c.project == project, tree_part.c.part == part.raw)
    found = await connection.scalars(sa.select(tree_part.c.tree).where(mine).distinct())
    return sorted(Digest.sha256(raw) for raw in found)


async def barred(connection: AsyncConnection) -> frozenset[tuple[str, str, bytes]]:
    """Everything that is not taken in again, by project, kind and digest."""
    columns = tombstone.c
    found = await connection.execute(
        sa.select(columns.project, columns.kind, columns.digest).where(columns.barred.is_(True))
    )
    return frozenset((project, kind, digest) for project, kind, digest in found)
