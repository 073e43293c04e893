"""`custody-server api`: the HTTP process. It holds no key and opens no folder that has one."""

from __future__ import annotations

import argparse
import functools

from api.commands.options import add_folder, add_listen, add_supervised, settings_of


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("api", help="answer HTTP (needs signer and worker beside it)")
    add_folder(command)
    add_listen(command)
    add_supervised(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    import gc

    import uvicorn

    from api import logs, wiring
    from api.app import create_app
    from api.draining import DrainingServer
    from api.measured_store import MeasuredStore
    from api.metrics import ApiMetrics
    from api.stopping import die_of, told_already

    settings = settings_of(args)
    logs.configure(settings.log_level, process="api")
    metrics = ApiMetrics()
    app = create_app(wiring.build(settings, watched=lambda store: MeasuredStore(store, metrics)), metrics)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=10,
    )
    config.load()
    # What is loaded by now stays until the end: nobody needs to look through it for garbage again.
    gc.collect()
    gc.freeze()
    again = told_already if args.supervised else die_of
    told = functools.partial(setattr, app.state, "draining", True)
    DrainingServer(config, told=told, seconds=settings.drain_seconds, again=again).run()
    return 0
