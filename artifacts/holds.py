"""Placing and lifting holds: what is held is removed by no rule.

A hold counts from its row on. Its word is signed after that, so that it also outlives the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock, to_milliseconds
from artifacts.control import CONTROL, LIFTED, PLACED, EventName, HoldEvent
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import ConflictError, NotFoundError
from artifacts.identifiers import new_ulid
from artifacts.outages import repeated
from artifacts.queries import holds, queue
from artifacts.queries.dialect import lock_digest
from artifacts.queries.holds import Held


@dataclass(frozen=True, slots=True)
class Holds:
    """The holds of every project. Every call may be repeated."""

    database: Database
    clock: Clock

    @repeated
    async def place(self, project: str, digest: Digest, reason: str) -> Held:
        """Hold `digest`; where it is held for that reason already, that word stands.

        Raises:
            NotFoundError: there is no such project.
            ConflictError: it is too late, the bytes are being removed.
        """
        async with self.database.writing() as connection:
            last = await self._last(connection, project, digest)
            if last is not None and (last.word.state, last.word.reason) == (PLACED, reason):
                return last
            if await holds.being_removed(connection, project, digest):
                raise ConflictError("too late: the bytes are being removed", digest=str(digest))
            return await self._say(connection, self._word(project, digest, PLACED, reason, last=last))

    @repeated
    async def lift(self, project: str, digest: Digest, reason: str) -> Held:
        """Let rules decide about `digest` again.

        Raises:
            NotFoundError: it is not held, or there is no such project.
        """
        async with self.database.writing() as connection:
            last = await self._last(connection, project, digest)
            if last is None or last.word.state != PLACED:
                raise NotFoundError("that is not held", digest=str(digest))
            return await self._say(connection, self._word(project, digest, LIFTED, reason, last=last))

    async def _last(self, connection: AsyncConnection, project: str, digest: Digest) -> Held | None:
        """The last word about `digest`; nobody decides anything else about it before this is over."""
        if not await holds.is_project(connection, project):
            raise NotFoundError("there is no such project", project=project)
        await lock_digest(connection, project, digest)
        return await holds.last_word(connection, project, digest)

    def _word(self, project: str, digest: Digest, state: str, reason: str, *, last: Held | None) -> HoldEvent:
        """A new word, its id larger than the last one's whatever the clock says: the largest counts."""
        now = self.clock.now()
        at = now if last is None else max(now, last.word.at + timedelta(milliseconds=1))
        return HoldEvent(EventName(project, digest, new_ulid(at)), state, reason, at)

    async def _say(self, connection: AsyncConnection, word: HoldEvent) -> Held:
        await holds.say(connection, word)
        now = to_milliseconds(self.clock.now())
        await queue.enqueue(connection, [(word.name.project, CONTROL, word.name.topic)], available_at=now)
        return Held(word, None)
