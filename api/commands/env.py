"""`custody-server env`: what a client needs to know, ready for `eval`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import sys
from typing import TYPE_CHECKING

from api.commands.options import add_folder, settings_of

if TYPE_CHECKING:
    from api.settings import Settings


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "env",
        help="print CUSTODY_URL, CUSTODY_TOKEN, CUSTODY_PIN and CUSTODY_LOG_KEY for a shell",
        description='Print what a client needs, for eval "$(custody-server env --data DIR)"',
    )
    add_folder(command)
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the variables; 3 if nothing was ever served from the folder."""
    settings = settings_of(args)
    url, pin = _url(settings), asyncio.run(_pin(settings))
    if url is None or pin is None:
        print(f"custody-server: nothing has been served from {settings.data} yet", file=sys.stderr)
        print(f"hint: custody-server serve --data {settings.data}", file=sys.stderr)
        return 3
    variables = {
        "CUSTODY_URL": url,
        "CUSTODY_TOKEN": _token(settings),
        "CUSTODY_PIN": pin,
        "CUSTODY_LOG_KEY": _log_key(settings),
    }
    known = {name: value for name, value in variables.items() if value is not None}
    if args.json:
        print(json.dumps(known))
    else:
        for name, value in known.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


def _url(settings: Settings) -> str | None:
    """Where `serve` was reached last; in a folder of a single process, what the settings say."""
    try:
        return str(json.loads((settings.data / "serving.json").read_text())["url"])
    except FileNotFoundError:
        return settings.public_url


def _token(settings: Settings) -> str | None:
    """The first token; only `serve` keeps one."""
    try:
        return settings.token_file.read_text().strip()
    except FileNotFoundError:
        return None


def _log_key(settings: Settings) -> str | None:
    """The public key of the log, by its private one: a bucket is not believed."""
    from provenance.signers import log_key

    try:
        return log_key.open_key(settings.log_key_file, origin=_origin(settings)).key.text
    except FileNotFoundError:
        return None


def _origin(settings: Settings) -> str:
    """The name of the log; where none is set, by the address under which `serve` was reached last."""
    return settings.model_copy(update={"public_url": _url(settings)}).origin


async def _pin(settings: Settings) -> str | None:
    """The fingerprint of the key in this folder, else of the newest that was published in it.

    A folder is the operator's own, so either may be believed. A bucket is not.
    """
    from api import wiring
    from provenance.published_keys import published
    from provenance.signers.local import LocalSigner

    with contextlib.suppress(FileNotFoundError):
        return LocalSigner.open(settings.key_file).public_key.keyid
    if settings.store_url is not None or not settings.objects.is_dir():
        return None
    keys = await published(wiring.open_store(settings))
    return keys[-1].keyid if keys else None
