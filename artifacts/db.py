"""Engines and sessions: who may write, and how SQLite is made to keep its word.

SQLite: WAL with `synchronous=FULL`, so that a commit survives a power cut; every
writing transaction is `BEGIN IMMEDIATE`, so that it queues for the lock instead of
failing half-way (SQLAlchemy drops `FOR UPDATE SKIP LOCKED` there without a word).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from artifacts import prompt_sqlite
from artifacts.errors import UnavailableError

BUSY_TIMEOUT_MS = 30_000
_WRITES = "custody_writes"
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""Primary result codes of SQLite that say nothing about the request."""


class Database:
    """One index. `reading` never blocks a writer; `writing` is one transaction, one at a time here."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writers = engine.execution_options(**{_WRITES: True})
        # Waiting here is fair and free; waiting in SQLite's busy loop is neither.
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot; nothing may be written.

        Raises:
            UnavailableError: the index cannot be read at the moment.
        """
        try:
            async with self._engine.connect() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise _translated(error) from error

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            UnavailableError: the index cannot be written at the moment: its disk is full or
                fails, or somebody holds its lock for too long.
        """
        try:
            async with self._turn, self._writers.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise _translated(error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _translated(error: sa.exc.OperationalError) -> Exception:
    """What the disk or another process did; a mistake in a statement stays what it is."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None or code & 0xFF not in _PASSING:
        return error
    return UnavailableError(
        "the index cannot be used",
        hint="check that its disk has room and is writable",
        reason=getattr(error.orig, "sqlite_errorname", None),
    )


def connect(url: str) -> Database:
    """Open the index at `url`, for example `sqlite+aiosqlite:////var/lib/custody/index.db`."""
    # An error is logged with its text, which would otherwise quote what somebody sent.
    engine = create_async_engine(
        url, pool_size=8, max_overflow=0, connect_args=_arguments(url), hide_parameters=True
    )
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine.sync_engine, "connect", _prepare)
        sa.event.listen(engine.sync_engine, "begin", _begin)
    return Database(engine)


def _arguments(url: str) -> dict[str, Any]:  # Any: passed on to the driver as it is
    # Without isolation_level=None the driver opens transactions of its own, and late.
    if not url.startswith("sqlite"):
        return {}
    return {"isolation_level": None, "async_creator_fn": prompt_sqlite.connect}


def _prepare(connection: Any, _record: object) -> None:  # Any: the driver's own connection
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-65536",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def alter(url: str, change: Callable[[sa.Connection], None]) -> None:
    """Let `change` alter the schema at `url`; it commits by itself."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(change)
    await engine.dispose()
