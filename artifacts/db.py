"""Engines and sessions: who may write, and how each database is made to keep its word.

SQLite: WAL with `synchronous=FULL`, so that a commit survives a power cut; every
writing transaction is `BEGIN IMMEDIATE`, so that it queues for the lock instead of
failing half-way (SQLAlchemy drops `FOR UPDATE SKIP LOCKED` there without a word).

PostgreSQL: reads are `REPEATABLE READ, READ ONLY`, which never fail and never wait; writers
go side by side at `READ COMMITTED` and lock the rows that decide. The server ends what takes
too long, so that nothing here waits for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from artifacts import prompt_sqlite
from artifacts.errors import InvalidInputError
from artifacts.outages import outage, unreachable

BUSY_TIMEOUT_MS = 30_000
_WRITES: Final = "custody_writes"
_POSTGRESQL: Final = "postgresql"


@dataclass(frozen=True, slots=True)
class Patience:
    """How many connections there are, and how long anything may take; PostgreSQL only."""

    connections: int = 8
    connection_seconds: float = 10
    statement_seconds: float = 30
    lock_seconds: float = 10
    idle_seconds: float = 60


class Database:
    """One index. `reading` never blocks a writer; `writing` is one transaction.

    On SQLite one process writes one transaction at a time; on PostgreSQL as many as there
    are connections.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writers = engine.execution_options(**{_WRITES: True})
        self._readers = engine
        # Waiting here is fair and free; waiting in SQLite's busy loop is neither.
        self._turn: contextlib.AbstractAsyncContextManager[None] = asyncio.Lock()
        if engine.dialect.name == _POSTGRESQL:
            self._readers = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._turn = contextlib.nullcontext()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot; nothing may be written.

        Raises:
            UnavailableError: the index cannot be read at the moment.
        """
        connection = await _connected(self._readers)
        try:
            try:
                yield connection
            finally:
                await connection.close()  # ends its transaction, which asks the server too
        except _TOLD as error:
            _tell(error)
            raise

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            GaveWayError: another transaction was let through; this one may be repeated.
            UnavailableError: the index cannot be written at the moment: its disk is full or
                fails, somebody holds a lock for too long, or the server is away. Where that
                happened while committing, the transaction may stand.
        """
        async with self._turn:
            connection = await _connected(self._writers)
            try:
                try:
                    async with connection.begin():
                        yield connection
                finally:
                    await connection.close()
            except _TOLD as error:
                _tell(error)
                raise

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


# Beside what SQLAlchemy raises: under a statement a driver's socket may break.
_TOLD: Final = (sa.exc.DBAPIError, ConnectionError, TimeoutError)


async def _connected(engine: AsyncEngine) -> AsyncConnection:
    """A connection of the pool. Drivers raise here what they like: refusals, time-outs, socket errors."""
    try:
        return await engine.connect()
    except Exception as error:  # whatever it is, there is no connection
        raise unreachable(getattr(error, "orig", None) or error) from error


def _tell(error: Exception) -> None:
    """Raise what the server, the disk or another process did; a mistake in a statement stays what it is."""
    if not isinstance(error, sa.exc.DBAPIError):
        raise unreachable(error) from error
    told = outage(error.orig, gone=error.connection_invalidated)
    if told is not None:
        raise told from error


def may_write(connection: AsyncConnection) -> bool:
    """Whether `connection` is of `Database.writing`."""
    return connection.sync_connection is not None and _writes(connection.sync_connection)


def _writes(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get(_WRITES, False))


def connect(url: str, patience: Patience | None = None) -> Database:
    """Open the index at `url`, for example `sqlite+aiosqlite:////var/lib/custody/index.db`."""
    # An error is logged with its text, which would otherwise quote what somebody sent.
    if url.startswith(_POSTGRESQL):
        return Database(_postgresql(url, patience or Patience()))
    engine = create_async_engine(
        url,
        pool_size=8,
        max_overflow=0,
        # Always the connection that was used last: another one reads anew what it wrote.
        pool_use_lifo=True,
        connect_args=_arguments(url),
        hide_parameters=True,
    )
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine.sync_engine, "connect", _prepare)
        sa.event.listen(engine.sync_engine, "begin", _begin)
    return Database(engine)


def _postgresql(url: str, patience: Patience) -> AsyncEngine:
    limits = {
        "statement_timeout": patience.statement_seconds,
        "lock_timeout": patience.lock_seconds,
        "idle_in_transaction_session_timeout": patience.idle_seconds,
    }
    told = {name: str(int(seconds * 1000)) for name, seconds in limits.items()}
    return create_async_engine(
        url,
        pool_size=patience.connections,
        max_overflow=0,
        pool_timeout=patience.connection_seconds,
        connect_args={
            "server_settings": {"application_name": "custody", **told},
            "timeout": patience.connection_seconds,
            # The server ends a statement first; this is for a server that is gone without a word.
            "command_timeout": patience.statement_seconds + patience.connection_seconds,
        },
        hide_parameters=True,
    )


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


async def alter(url: str, change: Callable[[sa.Connection], None]) -> None:
    """Let `change` alter the schema at `url`; it commits by itself, and a change that is cut off is undone.

    Raises:
        InvalidInputError: the database does not keep text as UTF-8.
        UnavailableError: there is no connection to it, or not the lock that altering needs.
    """
    engine = _altering(url)
    try:
        connection = await _connected(engine)
        try:
            await _check_encoding(connection)
            await connection.run_sync(change)
        except _TOLD as error:
            _tell(error)
            raise
        finally:
            await connection.close()
    finally:
        await engine.dispose()


def _altering(url: str) -> AsyncEngine:
    if url.startswith(_POSTGRESQL):
        return create_async_engine(url, hide_parameters=True)
    # Left to itself the driver begins no transaction for CREATE and ALTER: whoever died between
    # two of them left half a schema, which nothing can be migrated from.
    engine = create_async_engine(url, connect_args={"isolation_level": None}, hide_parameters=True)
    sa.event.listen(
        engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE")
    )
    return engine


async def _check_encoding(connection: AsyncConnection) -> None:
    """A server made in the locale C keeps bytes of no encoding unless told otherwise."""
    if connection.dialect.name != _POSTGRESQL:
        return
    found = await connection.exec_driver_sql("SHOW server_encoding")
    encoding = found.scalar_one()
    await connection.rollback()
    if encoding != "UTF8":
        raise InvalidInputError(
            "the index needs a database in UTF-8",
            hint="CREATE DATABASE custody TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'",
            encoding=encoding,
        )
