"""What the processes that take work from the queue have in common."""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass

import structlog

from api.metrics import LabourMetrics
from artifacts.clock import Clock
from artifacts.db import Database
from artifacts.labour import AT_ONCE, Labourer, Work
from artifacts.queries.queue import Job

_log = structlog.get_logger()


def owner_name() -> str:
    """A name for this process on the leases it takes."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def log_failed_job(job: Job, error: Exception) -> None:
    """Say that a job failed; its lease will end and it will be tried again."""
    _log.error("job.failed", kind=job.kind, topic=job.topic, attempt=job.attempt, error=repr(error)[:500])


@dataclass(frozen=True, slots=True)
class Crew:
    """Does what is on the queue until told to stop, and counts it."""

    database: Database
    clock: Clock
    metrics: LabourMetrics
    stop: asyncio.Event

    async def labour(self, kind: str, work: Work, *, at_once: int = AT_ONCE) -> None:
        """Give every job of `kind` to `work`; `at_once` is how many are leased together."""
        counted = self.metrics.counting(kind, work)
        owner = owner_name()
        labourer = Labourer(self.database, self.clock, kind, owner, counted, log_failed_job, at_once=at_once)
        await labourer.run(self.stop)
