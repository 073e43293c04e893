"""The few words in which PostgreSQL and SQLite differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]  # Any: column values


def insert(connection: AsyncConnection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def octets(connection: AsyncConnection, text: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """How many bytes `text` takes in UTF-8."""
    if connection.dialect.name == "postgresql":
        return sa.func.octet_length(text)
    return sa.func.length(sa.cast(text, sa.LargeBinary))


async def insert_new(connection: AsyncConnection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert `rows`; those whose key is known stay as they are."""
    if rows:
        await connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)


async def insert_one(connection: AsyncConnection, table: sa.Table, row: Row) -> bool:
    """Insert `row`; return whether it was new. The unique key decides, not a prior read."""
    added = await connection.execute(insert(connection, table).values(row).on_conflict_do_nothing())
    return added.rowcount == 1
