"""The scrub of a worker: round after round, at the rate that was set, going on where it stopped."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from api.second_store import open_second_store
from api.settings import Settings
from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.scrubbing import position
from artifacts.scrubbing.pacing import Pace
from artifacts.scrubbing.position import Position
from artifacts.scrubbing.report import Damage, Report
from artifacts.scrubbing.scrubber import Scope, Scrubber, Stores
from artifacts.storage.protocol import ObjectStore
from provenance.scrubbing import control_check

BETWEEN: Final = timedelta(days=1)
"""From the beginning of one round to that of the next, at least."""
POSITION: Final = "scrub.json"
"""The file of the position, in the data folder."""
_KEPT_SECONDS: Final = 10
_AGAIN_SECONDS: Final = 60
_SHOWN: Final = 5
_log = structlog.get_logger()


class ScrubMetrics:
    """What scrubs counted since this process began."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bytes = Counter("custody_scrub_bytes", "Bytes hashed again", registry=registry)
        self._objects = Counter("custody_scrub_objects", "Objects looked at again", registry=registry)
        self._damaged = Counter(
            "custody_scrub_damaged", "Objects found damaged or missing", ("kind",), registry=registry
        )
        self._healed = Counter("custody_scrub_healed", "Of these, mended", ("kind",), registry=registry)

    def looked(self, objects: int, size: int) -> None:
        """Count what was looked at."""
        self._objects.inc(objects)
        self._bytes.inc(size)

    def found(self, damage: Damage) -> None:
        """Count a damaged object."""
        self._damaged.labels(damage.kind).inc()
        if damage.healed is not None:
            self._healed.labels(damage.kind).inc()


def of(
    settings: Settings, database: Database, store: ObjectStore, clock: Clock, registry: CollectorRegistry
) -> Rounds:
    """The rounds of a worker, counted in `registry`.

    Raises:
        InvalidInputError: the second store cannot be opened.
    """
    return Rounds(
        database,
        Stores(store, open_second_store(settings)),
        clock,
        settings.scrub_bytes_per_second,
        settings.data / POSITION,
        ScrubMetrics(registry),
    )


@dataclass(slots=True)
class Rounds:
    """Scrubs one store again and again."""

    database: Database
    stores: Stores
    clock: Clock
    per_second: int
    kept: Path
    """The file of the position."""
    metrics: ScrubMetrics
    now: Callable[[], float] = time.monotonic
    _kept_at: float = field(default=float("-inf"), init=False)
    _counted: tuple[int, int] = field(default=(0, 0), init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Scrub until `stop` is set; without a rate do nothing."""
        while self.per_second and not stop.is_set():
            if self._is_due():
                await self._until(stop, self._tried())
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _AGAIN_SECONDS)

    def _is_due(self) -> bool:
        at = position.read(self.kept)
        return not at.done or self._moment() - at.began_at >= BETWEEN // timedelta(milliseconds=1)

    def _moment(self) -> int:
        return to_milliseconds(self.clock.now())

    async def _until(self, stop: asyncio.Event, scrubbing: asyncio.Task[None]) -> None:
        """Wait for the one or the other; a scrub may be broken off anywhere."""
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({scrubbing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (scrubbing, stopping):
                task.cancel()
            await asyncio.gather(scrubbing, stopping, return_exceptions=True)

    def _tried(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._try())

    async def _try(self) -> None:
        try:
            await self.round()
        except Exception as error:  # the store or the index may be away for a while
            _log.exception("scrub.failed", error=repr(error)[:500])
            await asyncio.sleep(_AGAIN_SECONDS)

    async def round(self) -> Report:
        """Go on with the round that was begun, or begin one, and end it."""
        at = position.read(self.kept)
        if at.done:
            at = Position(self._moment(), "", done=False)
        reached = at

        def note(key: str, report: Report) -> None:
            nonlocal reached
            reached = Position(at.began_at, key, done=False)
            self._count(report)
            if self.now() - self._kept_at >= _KEPT_SECONDS:
                self._keep(reached)

        self._counted = (0, 0)
        scrubber = Scrubber(
            self.database,
            self.stores,
            self.clock,
            await control_check(*self.stores.all),
            Pace(self.per_second),
            repair=True,
            reached=note,
            found=self._found,
        )
        try:
            report = await scrubber.run(Scope(after=at.after))
            reached = Position(at.began_at, "", done=True)
        finally:
            self._keep(reached)
        _log.info(
            "scrub.round",
            objects=sum(report.counts.values()),
            bytes=report.bytes,
            damaged=report.damaged,
            healed=report.healed,
            strange=report.strange,
        )
        return report

    def _count(self, report: Report) -> None:
        objects, size = self._counted
        self._counted = (sum(report.counts.values()), report.bytes)
        self.metrics.looked(self._counted[0] - objects, self._counted[1] - size)

    def _found(self, damage: Damage) -> None:
        self.metrics.found(damage)
        _log.error(
            "scrub.damaged",
            key=damage.key,
            reason=damage.reason,
            healed=damage.healed,
            why_not=damage.why_not,
            trees=damage.dependents.trees[:_SHOWN],
            steps=damage.dependents.steps[:_SHOWN],
            attestations=damage.dependents.attestations[:_SHOWN],
        )

    def _keep(self, reached: Position) -> None:
        self._kept_at = self.now()
        try:
            position.write(self.kept, reached)
        except OSError as error:
            _log.warning("scrub.position_lost", path=str(self.kept), error=error.strerror)
