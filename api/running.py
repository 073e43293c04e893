"""What the processes that take work from the queue have in common."""

from __future__ import annotations

import os
import secrets

import structlog

from artifacts.queries.queue import Job

_log = structlog.get_logger()


def owner_name() -> str:
    """A name for this process on the leases it takes."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


def log_failed_job(job: Job, error: Exception) -> None:
    """Say that a job failed; its lease will end and it will be tried again."""
    _log.error("job.failed", kind=job.kind, topic=job.topic, attempt=job.attempt, error=repr(error)[:500])
