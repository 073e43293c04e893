"""What must be there before the processes start: schema, project, first token."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from api import wiring
from api.settings import Settings
from artifacts.clock import SystemClock
from artifacts.db import alter
from artifacts.errors import InvalidInputError
from artifacts.identifiers import new_ulid
from artifacts.queries import tokens
from artifacts.queries.tokens import TokenRow
from artifacts.storage.durable import sync
from artifacts.tokens import Tokens
from migrations.roles import grant
from migrations.upgrading import upgrade

DEFAULT_PROJECT = "default"


async def migrate(settings: Settings) -> None:
    """Bring the index to the newest schema."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.database_url is None:
        (settings.data / "index").mkdir(mode=0o700, exist_ok=True)
    await alter(settings.index_url, upgrade)


async def grant_roles(settings: Settings) -> None:
    """Give each process a role that may write what it writes, and nothing else.

    Raises:
        InvalidInputError: the index is SQLite, which has no roles.
    """
    if not settings.index_url.startswith("postgresql"):
        raise InvalidInputError("only PostgreSQL has roles", hint="set CUSTODY_DATABASE_URL")
    await alter(settings.index_url, grant)


async def prepare(settings: Settings) -> None:
    """Make schema, default project and first token; safe to repeat."""
    await migrate(settings)
    database, store, clock = wiring.open_database(settings), wiring.open_store(settings), SystemClock()
    now = clock.now()
    secret = first_token(settings.token_file)
    digest = tokens.hashed(secret)
    row = TokenRow(new_ulid(now), DEFAULT_PROJECT, "first")
    async with database.reading() as connection:
        known = await tokens.is_token(connection, digest)
    if not known:  # one that was revoked is known: to journal it anew at each start would change nothing
        await Tokens(database, store, clock, wiring.open_seal(settings)).issue(row, digest=digest)
    await database.close()


def first_token(path: Path) -> str:
    """The token that `custody-server env` prints, made on first use; only its owner can read it."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    secret = f"cpt_{secrets.token_urlsafe(32)}"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secret + "\n")
        stream.flush()
        sync(descriptor)
    try:
        path.hardlink_to(draft)
    except FileExistsError:  # another start was faster; its token is the one
        return path.read_text().strip()
    finally:
        draft.unlink()
    return secret
