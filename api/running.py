"""Running a process until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal

import structlog

from artifacts.queries.queue import Job

_log = structlog.get_logger()


def stopped_by_signals() -> asyncio.Event:
    """An event that is set by SIGTERM or SIGINT. Call it inside the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def owner_name() -> str:
    """A name for this process on the leases it takes."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def log_failed_job(job: Job, error: Exception) -> None:
    """Say that a job failed; its lease will end and it will be tried again."""
    _log.error("job.failed", kind=job.kind, topic=job.topic, attempt=job.attempt, error=repr(error)[:500])
