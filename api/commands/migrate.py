"""`custody-server migrate`: bring the index to the newest schema."""

from __future__ import annotations

import argparse
import asyncio

from api.commands.options import add_folder, settings_of


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("migrate", help="bring the index to the newest schema")
    add_folder(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every migration that is missing."""
    from api.preparing import migrate

    asyncio.run(migrate(settings_of(args)))
    return 0
