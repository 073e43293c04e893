"""The compactions of a worker, and what follows from them and from purges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from api.collect_rounds import removals_of
from api.running import Crew, log_failed_job, owner_name
from api.settings import Settings
from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.labour import Labourer
from artifacts.outages import repeated
from artifacts.purging import Purger
from artifacts.queries import repacking
from artifacts.queries.purging import PURGE
from artifacts.queries.repacking import REPACK
from artifacts.removal import REMOVE, Removals
from artifacts.seal import Seal
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.repacking import Repacked, Repacker
from artifacts.trees.settling import Settler
from provenance.reindex.ahead import RecordsAhead

_DAY_MS: Final = 86_400_000
_SOON_MS: Final = 2000
_PAUSE: Final = 0.2
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RepackParts:
    """All that packs anew, by the terms that were set."""

    database: Database
    repacker: Repacker
    settler: Settler
    purger: Purger
    removals: Removals
    ahead: RecordsAhead
    clock: Clock

    async def check(self) -> None:
        """Return if the index is not older than the bucket.

        Raises:
            EvidenceError: it is: it does not know what is needed.
        """
        await self.ahead.check(now=self.clock.now())


def parts_of(
    settings: Settings, database: Database, store: ObjectStore, clock: Clock, seal: Seal | None
) -> RepackParts:
    """The parts that pack anew."""
    grace_ms = int(settings.grace_hours * 3_600_000)
    ahead = RecordsAhead(database, store, seal)
    settler = Settler(database, store, clock, grace_ms=grace_ms, check=lambda: ahead.check(now=clock.now()))
    repacker = Repacker(database, store, clock, grace_ms=grace_ms)
    purger = Purger(database, store, clock, grace_ms=grace_ms)
    removals = removals_of(settings, database, store, clock)
    return RepackParts(database, repacker, settler, purger, removals, ahead, clock)


async def settle(
    parts: RepackParts, project: str, told: Callable[[str, int], None], *, seconds: float
) -> int:
    """Do at once what follows in `project` from packing anew; how much is left after `seconds`.

    A worker may do some of it meanwhile.
    """
    make = partial(Labourer, parts.database, parts.clock)
    labourers = [
        make(REPACK, owner_name(), parts.settler.work, log_failed_job, at_once=1),
        make(REMOVE, owner_name(), parts.removals.remove, log_failed_job),
    ]
    until, done, left = asyncio.get_running_loop().time() + seconds, 0, 1
    while left and asyncio.get_running_loop().time() < until:
        count = sum([await labourer.round() for labourer in labourers])
        done += count
        told("trees laid out and packs removed", done)
        by = to_milliseconds(parts.clock.now()) + _SOON_MS
        async with parts.database.reading() as connection:
            left = await repacking.still_due(connection, project, (REPACK, REMOVE), by=by)
        await asyncio.sleep(0 if count else _PAUSE)
    return left


@dataclass(frozen=True, slots=True)
class CompactRounds:
    """Packs anew what frays, as often as is collected; with 0, never."""

    parts: RepackParts
    seconds: float
    looked: dict[str, tuple[int, int]] = field(default_factory=dict)
    """When each project was looked at, and the last of its trees removed by then."""

    async def run(self, stop: asyncio.Event) -> None:
        """Pack anew until `stop` is set."""
        while self.seconds and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self.seconds)
            if not stop.is_set():
                await self.round()

    async def round(self) -> None:
        """Look at each project of which trees were removed, and again a day later.

        What was asked for lately is not packed anew at once.
        """
        try:
            await self.parts.check()
            async with self.parts.database.reading() as connection:
                names = await repacking.project_names(connection)
                left = {name: await repacking.trees_left_at(connection, name) for name in names}
            now = to_milliseconds(self.parts.clock.now())
            for project in names:
                at, known = self.looked.get(project, (0, 0))
                if left[project] > known or (left[project] and at + _DAY_MS < now):
                    self._tell(project, await repeated(self.parts.repacker.compact)(project))
                    self.looked[project] = now, left[project]
        except Exception as error:  # the store or the index may be away for a while, or be mended first
            _log.exception("compact.failed", error=repr(error)[:500])

    def _tell(self, project: str, done: Repacked) -> None:
        if done.packs:
            _log.info(
                "compact.done",
                project=project,
                packs=done.packs,
                made=done.made,
                bytes_before=done.before,
                bytes_after=done.after,
            )
        for pack in done.damaged:
            _log.warning("compact.damaged", project=project, pack=str(pack))


async def work(parts: RepackParts, crew: Crew, seconds: float) -> None:
    """All of it that a worker does, until it is told to stop."""
    await asyncio.gather(
        crew.labour(REPACK, parts.settler.work, at_once=1),
        crew.labour(PURGE, parts.purger.work, at_once=1),
        CompactRounds(parts, seconds).run(crew.stop),
    )
