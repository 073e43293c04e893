"""What a caller is told to be here stays here for a while: being told of it names it, reading it uses it.

A caller that hears that bytes are stored does not send them, and names them a little later.
So whatever is told to be present is noted as named now, before the answer, unless it came or
was named so lately that three quarters of its grace period are left anyway: most questions
write nothing. Reads are noted coarsely and later, many at a time; some may be lost with a
process, which makes a thing look unused for a day longer than it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import UnavailableError
from artifacts.outages import repeated
from artifacts.queries import locks, uses

GRACE_SECONDS: Final = 86_400.0
"""How long bytes stay that nobody names, where nothing else is set."""
_NOTED_SECONDS: Final = 10.0
"""Reads are written down together, this long after the first of them."""
_REMEMBERED: Final = 50_000


class Naming:
    """Tells what is here, and keeps it from being removed for the time being."""

    def __init__(self, database: Database, clock: Clock, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._database = database
        self._clock = clock
        self._fresh_ms = int(grace_seconds * 1000 / 4)
        self._used: set[tuple[str, Digest]] = set()
        self._noted: dict[tuple[str, Digest], int] = {}
        """Reads that were noted, and on which day: one a day is enough."""
        self._writing: asyncio.Task[None] | None = None

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def present(self, project: str, kind: str, digests: Sequence[Digest]) -> set[Digest]:
        """Those of `digests` whose bytes (as a blob, or as a tree) are here, and stay for the time being."""
        async with self._database.reading() as connection:
            found = await uses.named(connection, project, kind, digests)
        old = sorted(digest for digest, at in found.items() if at < self._now() - self._fresh_ms)
        for start in range(0, len(old), locks.MOST):
            some = old[start : start + locks.MOST]
            gone = set(some) - await self._renew(project, kind, some)
            for digest in gone:
                del found[digest]
        return set(found)

    @repeated
    async def _renew(self, project: str, kind: str, digests: Sequence[Digest]) -> set[Digest]:
        """Look again where nothing is removed meanwhile, and name what is there."""
        async with self._database.writing() as connection:
            await locks.beside(connection, project, digests)
            still = set(await uses.named(connection, project, kind, digests))
            await uses.name(connection, project, still, at=self._now())
        return still

    def use(self, project: str, digest: Digest) -> None:
        """Note, some time later, that these bytes were read."""
        what, day = (project, digest), self._now() // uses.DAY_MS
        if self._noted.get(what) == day:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted[what] = day
        if not self._used:
            # A timer, and no task: whatever ends the process need not wait for it.
            asyncio.get_running_loop().call_later(_NOTED_SECONDS, self._begin_writing)
        self._used.add(what)

    def _begin_writing(self) -> None:
        self._writing = asyncio.get_running_loop().create_task(self._try_writing())

    async def _try_writing(self) -> None:
        with contextlib.suppress(UnavailableError):  # these reads are lost, which harms nobody
            await self.write_uses()

    async def write_uses(self) -> None:
        """Write down what was read since the last time."""
        used, self._used = self._used, set()
        if used:
            async with self._database.writing() as connection:
                await uses.use(connection, used, at=self._now())
