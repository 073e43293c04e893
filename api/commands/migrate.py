"""`custody-server migrate`: bring the index to the newest schema."""

from __future__ import annotations

import argparse
import asyncio

from api.commands.options import add_folder, settings_of


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("migrate", help="bring the index to the newest schema")
    add_folder(command)
    command.add_argument(
        "--roles",
        action="store_true",
        help="then grant custody_api, custody_signer and custody_worker what each writes (PostgreSQL)",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every migration that is missing."""
    from api.preparing import grant_roles, migrate

    settings = settings_of(args)
    asyncio.run(migrate(settings))
    if args.roles:
        asyncio.run(grant_roles(settings))
    return 0
