"""`custody-server serve`: everything on one machine, nothing to configure."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from api.commands.options import add_folder, add_listen, environment_of, settings_of

if TYPE_CHECKING:
    from api.settings import Settings

_DESCRIPTION: Final = """\
Run api, signer and worker as three processes over SQLite and a folder.

All of them run as one user, so this mode promises no isolation of the signing key and
signs only under builders/local/v1.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "serve",
        help="run the whole service here: SQLite, a folder, three processes",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_folder(command)
    add_listen(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop; 1 if the service cannot start."""
    from api.holding import held
    from api.prepared import is_prepared
    from api.supervising import GaveUpError

    settings = settings_of(args)
    began = time.monotonic()
    print(
        f"custody-server  {settings.url} · data {settings.data} · "
        "one user, so no key isolation: signs only under builders/local/v1",
        file=sys.stderr,
    )
    try:
        with held(settings):
            _check_port(settings)
            if not is_prepared(settings):
                from api.preparing import prepare

                asyncio.run(prepare(settings))
            _remember(settings)
            asyncio.run(_serve(settings, began))
    except (OSError, GaveUpError) as error:
        print(f"custody-server: {error}", file=sys.stderr)
        return 1
    return 0


def _check_port(settings: Settings) -> None:
    """Find out before anything starts whether somebody else listens there."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((settings.host, settings.port))
        except OSError as error:
            reason = error.strerror or "not possible"
            raise OSError(
                f"cannot listen on {settings.listen}: {reason.lower()}; choose another --listen"
            ) from error


def _remember(settings: Settings) -> None:
    """Keep the address for `custody-server env`."""
    path = settings.data / "serving.json"
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"url": settings.url}))
    draft.replace(path)


async def _serve(settings: Settings, began: float) -> None:
    from api.stopping import stopped_by_signals
    from api.supervising import Child, Stopping, keep_running

    now = asyncio.Event()
    stop = stopped_by_signals(lambda _: now.set())
    running = [
        asyncio.create_task(keep_running(Child(name, [name]), environment_of(own), Stopping(stop, now)))
        for name, own in _settings_of_children(settings).items()
    ]
    telling = asyncio.create_task(_tell_when_ready(settings, began))
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        telling.cancel()
        stop.set()
        await asyncio.gather(*running, return_exceptions=True)


def _settings_of_children(settings: Settings) -> dict[str, Settings]:
    """The same for all, but that no two can show their metrics at one port."""
    children = dict.fromkeys(("api", "signer", "worker"), settings)
    if settings.metrics_listen is not None:
        host, _, port = settings.metrics_listen.rpartition(":")
        children["worker"] = settings.model_copy(update={"metrics_listen": f"{host}:{int(port) + 1}"})
    return children


async def _tell_when_ready(settings: Settings, began: float) -> None:
    while not await asyncio.to_thread(_is_ready, settings):  # noqa: ASYNC110  # it happens in another process
        await asyncio.sleep(0.05)
    seconds = time.monotonic() - began
    print(f"ready   in {seconds:.1f} s", file=sys.stderr)
    print(f'next    eval "$(custody-server env --data {settings.data})"', file=sys.stderr)


def _is_ready(settings: Settings) -> bool:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  # compared, not bound
    asking = urllib.request.Request(f"http://{reachable}:{settings.port}/readyz")  # a fixed scheme
    asking.add_header("Host", next(iter(sorted(settings.hosts))))
    # A proxy of the environment must not be asked about our own port.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asking, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
