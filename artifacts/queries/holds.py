"""What is held, and what was ever said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import from_milliseconds, to_milliseconds
from artifacts.control import PLACED, EventName, HoldEvent
from artifacts.digest import Digest
from artifacts.queries.dialect import Insert, insert_new, insert_or_renew
from artifacts.tables import hold, hold_event, project, tombstone


@dataclass(frozen=True, slots=True)
class Held:
    """The word by which a digest is held; `attested` is the digest of its signed object."""

    word: HoldEvent
    attested: Digest | None


async def is_project(connection: AsyncConnection, name: str) -> bool:
    """Whether there is a project of that name."""
    return await connection.scalar(sa.select(sa.literal(1)).where(project.c.name == name)) is not None


async def being_removed(connection: AsyncConnection, project_: str, digest: Digest) -> bool:
    """Whether the bytes of `digest` are being removed at this moment."""
    columns = tombstone.c
    found = sa.select(sa.literal(1)).where(
        columns.project == project_, columns.digest == digest.raw, columns.state == "deleting"
    )
    return await connection.scalar(found.limit(1)) is not None


_COLUMNS = [
    hold_event.c[name] for name in ("project", "digest", "event", "state", "reason", "at", "attested")
]


def _held(row: Sequence[Any]) -> Held:  # Any: column values
    project_, digest, event, state, reason, at, attested = row
    name = EventName(project_, Digest.sha256(digest), event)
    signed = None if attested is None else Digest.sha256(attested)
    return Held(HoldEvent(name, state, reason, from_milliseconds(at)), signed)


async def last_word(connection: AsyncConnection, project_: str, digest: Digest) -> Held | None:
    """The newest word about holds of `digest`, whichever way it went."""
    found = await connection.execute(
        sa.select(*_COLUMNS)
        .where(hold_event.c.project == project_, hold_event.c.digest == digest.raw)
        .order_by(hold_event.c.event.desc())
        .limit(1)
    )
    row = found.one_or_none()
    return None if row is None else _held(tuple(row))


async def say(connection: AsyncConnection, word: HoldEvent) -> None:
    """Write a word about a hold, and what follows from it."""
    row = {
        "project": word.name.project,
        "digest": word.name.digest.raw,
        "event": word.name.event,
        "state": word.state,
        "reason": word.reason,
        "at": to_milliseconds(word.at),
    }
    await insert_new(connection, hold_event, [row])
    await _follow(connection, [word])


async def held(connection: AsyncConnection, project_: str | None = None) -> list[Held]:
    """Everything that is held, in one project or in all."""
    asked = sa.select(*_COLUMNS).where(_is_last()).where(hold_event.c.state == PLACED)
    if project_ is not None:
        asked = asked.where(hold_event.c.project == project_)
    found = await connection.execute(asked.order_by(hold_event.c.project, hold_event.c.event))
    return [_held(tuple(row)) for row in found]


def _is_last() -> sa.ColumnElement[bool]:
    later = hold_event.alias()
    return ~sa.exists().where(
        later.c.project == hold_event.c.project,
        later.c.digest == hold_event.c.digest,
        later.c.event > hold_event.c.event,
    )


async def follow_all(connection: AsyncConnection) -> int:
    """Let what is held follow from what was said, of everything; return how much is held."""
    found = await connection.execute(sa.select(*_COLUMNS).where(_is_last()))
    words = [_held(tuple(row)).word for row in found]
    await _follow(connection, words)
    return sum(word.state == PLACED for word in words)


async def _follow(connection: AsyncConnection, words: list[HoldEvent]) -> None:
    placed = [
        {
            "project": word.name.project,
            "digest": word.name.digest.raw,
            "reason": word.reason,
            "placed_at": to_milliseconds(word.at),
        }
        for word in words
        if word.state == PLACED
    ]
    await insert_or_renew(connection, hold, placed, _newly)
    for word in words:
        if word.state != PLACED:
            mine = sa.and_(hold.c.project == word.name.project, hold.c.digest == word.name.digest.raw)
            await connection.execute(sa.delete(hold).where(mine))


def _newly(adding: Insert) -> Insert:
    new = adding.excluded
    return adding.on_conflict_do_update(
        index_elements=["project", "digest"], set_={"reason": new.reason, "placed_at": new.placed_at}
    )
