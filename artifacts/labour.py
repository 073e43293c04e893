"""Taking work off a queue until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.outages import repeated
from artifacts.queries import queue
from artifacts.queries.queue import Job

LEASE_MS: Final = 30_000
AT_ONCE: Final = 32
_IDLE_FIRST: Final = 0.01
_IDLE_MOST: Final = 0.1

Work = Callable[[Job], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Labourer:
    """Takes jobs of one kind and gives each to `work`, which must end it or give it back.

    A job whose `work` raises, or whose process dies, is taken again when its lease ends.
    """

    database: Database
    clock: Clock
    kind: str
    owner: str
    work: Work
    failed: Callable[[Job, Exception], None]
    at_once: int = AT_ONCE
    """How many jobs are leased together; one, where a job may take long."""

    @repeated
    async def round(self) -> int:
        """Take what is there, do it, and return how many jobs that was."""
        now = to_milliseconds(self.clock.now())
        async with self.database.reading() as connection:
            if not await queue.waiting(connection, self.kind, now=now):
                return 0
        async with self.database.writing() as connection:
            jobs = await queue.take(
                connection, self.kind, owner=self.owner, now=now, lease_ms=LEASE_MS, limit=self.at_once
            )
        for job in jobs:
            if await self._leased(job, since=now):
                await self._one(job)
        return len(jobs)

    async def _leased(self, job: Job, *, since: int) -> bool:
        """Whether `job` is still ours after those before it; its lease is fresh then."""
        now = to_milliseconds(self.clock.now())
        if now - since < LEASE_MS // 3:
            return True
        async with self.database.writing() as connection:
            return await queue.renew(connection, job, until=now + LEASE_MS)

    async def _one(self, job: Job) -> None:
        try:
            await repeated(self.work)(job)
        except Exception as error:  # one bad job must not stop the others
            self.failed(job, error)

    async def run(self, stop: asyncio.Event) -> None:
        """Do rounds until `stop` is set; look less often while there is nothing to do."""
        pause = _IDLE_FIRST
        while not stop.is_set():
            try:
                busy = await self.round()
            except Exception as error:  # the index may be away for a while
                self.failed(Job(0, "", self.kind, "", 0, self.owner), error)
                busy = 0
            pause = _IDLE_FIRST if busy else min(pause * 1.5, _IDLE_MOST)
            if not busy:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
