"""`custody-server migrate`: bring the index to the newest schema."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from api.commands.options import add_folder, settings_of

if TYPE_CHECKING:
    from api.settings import Settings


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("migrate", help="bring the index to the newest schema")
    add_folder(command)
    command.add_argument(
        "--roles",
        action="store_true",
        help="then grant custody_api, custody_signer and custody_worker what each writes (PostgreSQL)",
    )
    command.add_argument(
        "--bucket",
        action="store_true",
        help="then make the bucket of CUSTODY_STORE_URL where there is none (S3)",
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run every migration that is missing."""
    from api.preparing import grant_roles, migrate

    settings = settings_of(args)
    asyncio.run(migrate(settings))
    if args.roles:
        asyncio.run(grant_roles(settings))
    if args.bucket:
        asyncio.run(_make_bucket(settings))
    return 0


async def _make_bucket(settings: Settings) -> None:
    from api import wiring
    from artifacts.errors import InvalidInputError, NotFoundError
    from artifacts.storage.s3_store import S3Store

    store = wiring.open_store(settings)
    if not isinstance(store, S3Store):
        raise InvalidInputError("only S3 has buckets", hint="set CUSTODY_STORE_URL=s3://bucket")
    try:
        await store.bucket.call("head_bucket")
    except NotFoundError:
        await store.bucket.call("create_bucket")
    finally:
        store.close()
