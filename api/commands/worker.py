"""`custody-server worker`: reads blobs back, completes what a crash left, sweeps, collects, scrubs."""

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
    asyncio.run(_work(settings, supervised=args.supervised))
    return 0


async def _work(settings: Settings, *, supervised: bool) -> None:
    from api import collect_rounds, metrics_listener, repack_rounds, scrub_rounds, wiring
    from api.measured_store import MeasuredStore
    from api.metrics import LabourMetrics
    from api.running import Crew
    from api.stopping import stopped_by_signals, told_already
    from artifacts.clock import SystemClock
    from artifacts.content import HASH
    from artifacts.removal import REMOVE
    from artifacts.trees.checking import Checker
    from artifacts.trees.taking import CHECK
    from artifacts.upkeep import Upkeep
    from artifacts.uploads import JOIN, Joiner

    stop = stopped_by_signals(told_already if supervised else None)
    clock, metrics = SystemClock(), LabourMetrics("worker")
    database, store = wiring.open_database(settings), MeasuredStore(wiring.open_store(settings), metrics)
    seal = wiring.open_seal(settings)
    upkeep = Upkeep(database, store, clock, seal, damaged=metrics.damaged)
    checker, joiner = Checker(database, store, clock), Joiner(database, store, clock)

    removals = collect_rounds.removals_of(settings, database, store, clock)
    collector = collect_rounds.collector_of(settings, database, store, clock, seal)
    collects = collect_rounds.CollectRounds(collector, settings.collect_seconds, metrics.collected)
    anew = repack_rounds.parts_of(settings, database, store, clock, seal)
    scrubs = scrub_rounds.of(settings, database, store, clock, metrics.registry)
    crew = Crew(database, clock, metrics, stop)
    try:
        async with metrics_listener.shown(metrics, settings.metrics_listen):
            await asyncio.gather(
                crew.labour(HASH, upkeep.read_back),
                crew.labour(CHECK, checker.check, at_once=1),
                crew.labour(JOIN, joiner.join, at_once=1),
                _tidy_now_and_then(upkeep, stop),
                crew.labour(REMOVE, removals.remove),
                scrubs.run(stop),
                collects.run(stop),
                repack_rounds.work(anew, crew, settings.collect_seconds),
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
