"""`custody-server env`: what a client needs to know, ready for `eval`."""

from __future__ import annotations

import argparse
import asyncio
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
        help="print CUSTODY_URL, CUSTODY_TOKEN and CUSTODY_PIN for a shell",
        description='Print what a client needs, for eval "$(custody-server env --data DIR)"',
    )
    add_folder(command)
    command.add_argument("--json", action="store_true", help="print one JSON object instead")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the variables; 3 if nothing was ever served from the folder."""
    settings = settings_of(args)
    try:
        url = json.loads((settings.data / "serving.json").read_text())["url"]
        token = settings.token_file.read_text().strip()
        pin = asyncio.run(_pin(settings))
    except FileNotFoundError:
        pin = None
    if pin is None:
        print(f"custody-server: nothing has been served from {settings.data} yet", file=sys.stderr)
        print(f"hint: custody-server serve --data {settings.data}", file=sys.stderr)
        return 3
    variables = {"CUSTODY_URL": url, "CUSTODY_TOKEN": token, "CUSTODY_PIN": pin}
    if args.json:
        print(json.dumps(variables))
    else:
        for name, value in variables.items():
            print(f"export {name}={shlex.quote(value)}")
    return 0


async def _pin(settings: Settings) -> str | None:
    """The fingerprint of the newest key: this folder is the operator's own, so it may be believed."""
    from api import wiring
    from provenance.published_keys import published

    if settings.store_url is None and not settings.objects.is_dir():
        return None
    keys = await published(wiring.open_store(settings))
    return keys[-1].keyid if keys else None
