"""`custody-server worker`: reads blobs back, completes what a crash left, sweeps."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import TYPE_CHECKING

from api.commands.options import add_folder, add_supervised, settings_of

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.upkeep import Upkeep

_TIDY_SECONDS = 5


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("worker", help="read blobs back, complete, sweep")
    add_folder(command)
    add_supervised(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Work until told to stop."""
    from api import logs

    settings = settings_of(args)
    logs.configure(settings.log_level, process="worker")
    asyncio.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
    from api import wiring
    from api.running import log_failed_job, owner_name
    from api.stopping import stopped_by_signals
    from artifacts.clock import SystemClock
    from artifacts.content import HASH
    from artifacts.labour import Labourer
    from artifacts.trees.checking import Checker
    from artifacts.trees.taking import CHECK
    from artifacts.upkeep import Upkeep
    from artifacts.uploads import JOIN, Joiner

    stop = stopped_by_signals()
    clock = SystemClock()
    database, store = wiring.open_database(settings), wiring.open_store(settings)
    upkeep = Upkeep(database, store, clock, wiring.open_seal(settings))
    labourer = Labourer(database, clock, HASH, owner_name(), upkeep.read_back, log_failed_job)
    checker = Checker(database, store, clock)
    looker = Labourer(database, clock, CHECK, owner_name(), checker.check, log_failed_job, at_once=1)
    joiner = Joiner(database, store, clock)
    joins = Labourer(database, clock, JOIN, owner_name(), joiner.join, log_failed_job, at_once=1)
    try:
        await asyncio.gather(
            labourer.run(stop), looker.run(stop), joins.run(stop), _tidy_now_and_then(upkeep, stop)
        )
    finally:
        await database.close()


async def _tidy_now_and_then(upkeep: Upkeep, stop: asyncio.Event) -> None:
    import structlog

    log = structlog.get_logger()
    while not stop.is_set():
        try:
            done = await upkeep.tidy()
            if done:
                log.info("upkeep.done", things=done)
        except Exception as error:  # the next round may go better; nothing was acknowledged
            log.exception("upkeep.failed", error=repr(error)[:500])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _TIDY_SECONDS)
