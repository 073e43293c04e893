"""The signer's rounds of adding to the log, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

import structlog

from api.metrics import LabourMetrics
from api.running import log_failed_job, owner_name
from api.settings import Settings
from artifacts.clock import Clock
from artifacts.db import Database
from artifacts.errors import CustodyError, EvidenceError
from artifacts.outages import repeated
from artifacts.queries.log_leaves import LOG
from artifacts.storage.protocol import ObjectStore
from provenance.keys import PublicKey
from provenance.log.appending import Appender
from provenance.signers import log_key

PAUSE_SECONDS: Final = 0.2
"""Between two looks at the queue: what was signed meanwhile gets one checkpoint together."""
_REFUSED_SECONDS: Final = 10.0
"""Before it is tried again to add to a log that may not be added to."""
_log = structlog.get_logger()


def of(settings: Settings, database: Database, store: ObjectStore, clock: Clock, key: PublicKey) -> Appender:
    """The appender of the signer process; its key is made on first start.

    Raises:
        CustodyError: the key of the log cannot be used.
    """
    signer = log_key.open_or_create(settings.log_key_file, origin=settings.origin)
    return Appender(
        database, store, clock, signer, frozenset({key}), owner=owner_name(), refused=log_failed_job
    )


async def run(log: Appender, metrics: LabourMetrics, stop: asyncio.Event) -> None:
    """Add to the log until `stop` is set, and let another signer go on then."""
    prepared = False
    while not stop.is_set():
        pause = PAUSE_SECONDS
        try:
            if not prepared:
                await _prepare(log)
                prepared = True
            await _round(log, metrics)
        except EvidenceError as error:
            _log.error("log.refused", reason=error.message, hint=error.hint)  # its text says all
            pause = _REFUSED_SECONDS
        except Exception as error:  # the index or the store may be away for a while
            _log.error("log.failed", error=repr(error)[:500])  # likewise
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
    with contextlib.suppress(CustodyError):
        await log.leave()


@repeated
async def _prepare(log: Appender) -> None:
    await log.publish_key()
    filled = await log.fill()
    if filled:
        _log.info("log.filled", bundles=filled)
    await log.resume()


@repeated
async def _round(log: Appender, metrics: LabourMetrics) -> None:
    began = time.perf_counter()
    done = await log.round()
    if done:
        metrics.counted(LOG, done, seconds=time.perf_counter() - began)
