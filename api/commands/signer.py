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
        asyncio.run(_sign(settings))
    except CustodyError as error:
        print(f"custody-server: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 1
    return 0


async def _sign(settings: Settings) -> None:
    from api import wiring
    from api.running import log_failed_job, owner_name
    from api.stopping import stopped_by_signals
    from artifacts.clock import SystemClock
    from artifacts.control import CONTROL
    from artifacts.labour import Labourer
    from artifacts.sealing import SIGN
    from provenance.attest import BUILDER, Attester
    from provenance.attest_control import ControlAttester
    from provenance.published_keys import publish
    from provenance.reindex.ahead import Ahead
    from provenance.signers.local import LocalSigner

    stop = stopped_by_signals()
    clock = SystemClock()
    signer = LocalSigner.open_or_create(settings.key_file)
    database, store = wiring.open_database(settings), wiring.open_store(settings)
    builder_id = settings.url + BUILDER
    await publish(store, signer.public_key, builder_id=builder_id, at=clock.now())
    attester = Attester(database, store, clock, signer=signer, public_url=settings.url)
    labourer = Labourer(database, clock, SIGN, owner_name(), attester.attest, log_failed_job)
    deciding = ControlAttester(database, store, clock, signer, settings.url)
    decisions = Labourer(database, clock, CONTROL, owner_name(), deciding.attest, log_failed_job)
    try:
        # A restored index knows too little to be signed with.
        await Ahead(database, store, signer.public_key, _seal(settings)).check(now=clock.now())
        await asyncio.gather(labourer.run(stop), decisions.run(stop))
    finally:
        await database.close()


def _seal(settings: Settings) -> Seal | None:
    """The seal of api and worker, where this process may see it: then planted names hold nothing up."""
    from artifacts.seal import Seal

    try:
        return Seal.open(settings.seal_key)
    except FileNotFoundError:
        return None
