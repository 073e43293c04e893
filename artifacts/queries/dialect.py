"""The few words in which PostgreSQL and SQLite differ."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.db import may_write
from artifacts.digest import Digest

T = TypeVar("T", bound=tuple[Any, ...])  # Any: column values
V = TypeVar("V")
Row = Mapping[str, Any]  # Any: column values


def insert(connection: AsyncConnection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def octets(connection: AsyncConnection, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """How many bytes `text` takes in UTF-8."""
    if connection.dialect.name == "postgresql":
        return sa.func.octet_length(text)
    return sa.func.length(sa.cast(text, sa.LargeBinary))


def hexed(dialect: str, raw: sa.ColumnElement[bytes]) -> sa.ColumnElement[str]:
    """`raw` in lower-case hex digits."""
    if dialect == "postgresql":
        return sa.func.encode(raw, sa.literal_column("'hex'"))
    return sa.func.lower(sa.func.hex(raw))


def json_lists(dialect: str, rows: sa.Select[Any]) -> sa.ColumnElement[str]:  # Any: columns of several types
    """`rows`, which may be correlated, as the text of one JSON list of lists, in their order."""
    found = rows.subquery()
    if dialect == "postgresql":
        # None of no rows, where SQLite makes an empty list.
        listed = sa.cast(sa.func.json_agg(sa.func.json_build_array(*found.c)), sa.Text)
        return sa.select(sa.func.coalesce(listed, sa.literal_column("'[]'"))).scalar_subquery()
    return sa.select(sa.func.json_group_array(sa.func.json_array(*found.c))).scalar_subquery()


def locked(connection: AsyncConnection, rows: sa.Select[T]) -> sa.Select[T]:
    """As `rows`; in a transaction that may write, nobody else changes them before it ends.

    On PostgreSQL by row locks that leave room for rows that refer to them; on SQLite a
    transaction that may write is alone anyway. `rows` is a statement that is built once.
    """
    return _locked(rows) if connection.dialect.name == "postgresql" and may_write(connection) else rows


@lru_cache(maxsize=64)
def _locked(rows: sa.Select[T]) -> sa.Select[T]:
    return rows.with_for_update(key_share=True)


async def lock_digest(connection: AsyncConnection, project: str, digest: Digest) -> None:
    """Let nobody else who calls this decide about `digest` of `project` before the transaction ends.

    On SQLite a transaction that may write is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        named = hashlib.sha256(f"custody-digest/v1\n{project}\n{digest}".encode()).digest()
        number = int.from_bytes(named[:8], "big", signed=True)
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


_VALUES_AT_ONCE: Final = 5000
"""SQLite takes 32,766 values in a statement; one of this many is still quick to write."""


def slices(values: Sequence[V]) -> Iterator[Sequence[V]]:
    """`values`, as many at a time as one statement takes."""
    for start in range(0, len(values), _VALUES_AT_ONCE):
        yield values[start : start + _VALUES_AT_ONCE]


async def insert_new(connection: AsyncConnection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, which have the same columns; those whose key is known stay as they are."""
    await _insert_all(connection, table, rows, _adding)


async def insert_or_renew(
    connection: AsyncConnection, table: sa.Table, rows: Sequence[Row], renewed: Renewed
) -> None:
    """Insert `rows`, which have the same columns; those whose key is known are renewed as `renewed` says."""
    await _insert_all(connection, table, rows, renewed)


Insert = sqlite.Insert | postgresql.Insert
Renewed = Callable[[Insert], Insert]


def _adding(statement: Insert) -> Insert:
    return statement.on_conflict_do_nothing()


async def _insert_all(
    connection: AsyncConnection, table: sa.Table, rows: Sequence[Row], on_conflict: Renewed
) -> None:
    """Insert by the statement's text: columns here hold plain values that every driver takes as they are.

    SQLAlchemy's own way prepares each value of each row, which was measured as a third of
    what recording a step costs.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    text, picked = _written(connection.dialect, table, columns, on_conflict)
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        await connection.exec_driver_sql(text, list(map(picked, some)))
        if len(rows) > _AT_ONCE:
            await asyncio.sleep(0)


_AT_ONCE: Final = 250
"""Rows after which others are answered: SQLite takes a few milliseconds for them, on the loop."""


@lru_cache(maxsize=512)
def _written(
    dialect: sa.Dialect, table: sa.Table, columns: tuple[str, ...], on_conflict: Renewed
) -> tuple[str, Callable[[Row], tuple[Any, ...]]]:  # Any: column values
    """The text of an INSERT for `dialect`, and what picks its parameters out of a row, in their order."""
    adding = postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
    compiled = on_conflict(adding).compile(dialect=dialect, column_keys=list(columns))
    order = compiled.positiontup
    if order is None or set(order) != set(columns):
        raise ValueError(f"the statement for {table.name} has parameters of its own")
    # Of one name `itemgetter` gives a bare value, and no tuple of it.
    picked = itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    return str(compiled), picked


async def insert_one(connection: AsyncConnection, table: sa.Table, row: Row) -> bool:
    """Insert `row`; return whether it was new. The unique key decides, not a prior read."""
    added = await connection.execute(insert(connection, table).values(row).on_conflict_do_nothing())
    return added.rowcount == 1
