"""`custody-server signer`: the only process that opens the folder of the key."""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from api.commands.options import add_folder, add_listen, add_supervised, settings_of

if TYPE_CHECKING:
    from api.settings import Settings
    from artifacts.seal import Seal


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("signer", help="sign what is sealed; the only process with the key")
    add_folder(command)
    add_listen(command)
    add_supervised(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sign until told to stop; 1 if the key cannot be used."""
    from api import logs
    from artifacts.errors import CustodyError

    settings = settings_of(args)
    logs.configure(settings.log_level, process="signer")
    try:
        asyncio.run(_sign(settings, supervised=args.supervised))
    except CustodyError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1
    return 0


async def _sign(settings: Settings, *, supervised: bool) -> None:
    from api import log_rounds, metrics_listener, wiring
    from api.measured_store import MeasuredStore
    from api.metrics import LabourMetrics
    from api.running import Crew
    from api.stopping import stopped_by_signals, told_already
    from artifacts.clock import SystemClock
    from artifacts.control import CONTROL
    from artifacts.sealing import SIGN
    from provenance.attest import BUILDER, Attester
    from provenance.attest_control import ControlAttester
    from provenance.published_keys import publish
    from provenance.reindex.ahead import Ahead
    from provenance.signers.local import LocalSigner

    stop = stopped_by_signals(told_already if supervised else None)
    clock, metrics = SystemClock(), LabourMetrics("signer")
    signer = LocalSigner.open_or_create(settings.key_file)
    database, store = wiring.open_database(settings), MeasuredStore(wiring.open_store(settings), metrics)
    builder_id = settings.url + BUILDER
    await publish(store, signer.public_key, builder_id=builder_id, at=clock.now())
    attester = Attester(database, store, clock, signer=signer, public_url=settings.url)
    deciding = ControlAttester(database, store, clock, signer, settings.url)

    log = log_rounds.of(settings, database, store, clock, signer.public_key)
    crew = Crew(database, clock, metrics, stop)
    try:
        async with metrics_listener.shown(metrics, settings.metrics_listen):
            # A restored index knows too little to be signed with.
            await Ahead(database, store, signer.public_key, _seal(settings)).check(now=clock.now())
            await asyncio.gather(
                crew.labour(SIGN, attester.attest),
                crew.labour(CONTROL, deciding.attest),
                log_rounds.run(log, metrics, stop),
            )
    finally:
        await database.close()


def _seal(settings: Settings) -> Seal | None:
    """The seal of api and worker, where this process may see it: then planted names hold nothing up."""
    from artifacts.seal import Seal

    try:
        return Seal.open(settings.seal_key)
    except FileNotFoundError:
        return None
