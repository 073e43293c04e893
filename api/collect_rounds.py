"""The collections of a worker: now and then, by the terms that were set."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog

from api.settings import Settings
from artifacts.clock import Clock
from artifacts.collecting import Collector, Terms
from artifacts.db import Database
from artifacts.errors import InvalidInputError
from artifacts.judging import Collected
from artifacts.removal import Removals
from artifacts.retention import Retention
from artifacts.seal import Seal
from artifacts.storage.protocol import ObjectStore
from provenance.reindex.ahead import RecordsAhead

LATE_SECONDS: Final = 130.0
"""Twice as long as a call of the object store may take: no DELETE arrives later than that."""
_FIRST_SECONDS: Final = 60.0
_log = structlog.get_logger()


def removals_of(settings: Settings, database: Database, store: ObjectStore, clock: Clock) -> Removals:
    """The delete protocol over the store that was set; a folder removes at once or not at all."""
    late = 0 if urlsplit(settings.store).scheme == "file" else LATE_SECONDS
    return Removals(database, store, clock, late_seconds=late)


def rules_of(settings: Settings) -> Retention:
    """The rules of the retention file; none where none is set.

    Raises:
        InvalidInputError: it cannot be read, or is not as it must be.
    """
    if settings.retention_file is None:
        return Retention()
    try:
        text = settings.retention_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{settings.retention_file} cannot be read", hint="see CUSTODY_RETENTION_FILE"
        ) from error
    return Retention.parse(text)


def collector_of(
    settings: Settings, database: Database, store: ObjectStore, clock: Clock, seal: Seal | None
) -> Collector:
    """A collector by the terms that were set."""
    ahead = RecordsAhead(database, store, seal)
    terms = Terms(rules_of(settings), settings.grace_hours * 3600, lambda: ahead.check(now=clock.now()))
    return Collector(database, clock, removals_of(settings, database, store, clock), terms)


@dataclass(frozen=True, slots=True)
class CollectRounds:
    """Collects every so many seconds; with 0, never."""

    collector: Collector
    seconds: float
    counted: Callable[[Collected], None] | None = None
    """Who counts what goes."""

    async def run(self, stop: asyncio.Event) -> None:
        """Collect until `stop` is set; the first time soon after the beginning."""
        pause = min(self.seconds, _FIRST_SECONDS)
        while self.seconds and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            if not stop.is_set():
                await self.round()
            pause = self.seconds

    async def round(self) -> None:
        """Collect once, and say what goes."""
        try:
            found = await self.collector.collect()
        except Exception as error:  # the store or the index may be away for a while, or be mended first
            _log.exception("collect.failed", error=repr(error)[:500])
            return
        if self.counted is not None:
            self.counted(found)
        if found.things:
            _log.info("collect.decided", things=found.things.total(), bytes=found.bytes.total())
        tell_excess(found)


def tell_excess(found: Collected) -> None:
    """Say which projects stay over their budgets."""
    for project, excess in sorted(found.over_budget.items()):
        _log.warning("collect.over_budget", project=project, bytes=excess)
