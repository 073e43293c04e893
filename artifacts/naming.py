"""What a caller is told to be here stays here for a while: being told of it names it.

A caller that hears that bytes are stored does not send them, and names them a little later.
So whatever is told to be present is noted as named now, before the answer, unless it came or
was named so lately that three quarters of its grace period are left anyway: most questions
write nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.outages import repeated
from artifacts.queries import locks, uses

GRACE_SECONDS: Final = 86_400.0
"""How long bytes stay that nobody names, where nothing else is set."""


class Naming:
    """Tells what is here, and keeps it from being removed for the time being."""

    def __init__(self, database: Database, clock: Clock, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self._database = database
        self._clock = clock
        self._fresh_ms = int(grace_seconds * 1000 / 4)

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
