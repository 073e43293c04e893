"""Running one statement for many rows by its text alone.

Every driver takes the plain values of our columns as they are. SQLAlchemy's own way
prepares each value of each row, which was measured as a third of what recording a step
costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

Row = Mapping[str, Any]  # Any: column values


async def run_for_each(
    connection: AsyncConnection, statement: sa.Insert | sa.Update, rows: Sequence[Row]
) -> None:
    """Run `statement` once for each of `rows`, which name its parameters.

    `statement` is one of few and lives as long as the process, since its text is kept. Its
    constants are written as literals.
    """
    if rows:
        text, order = _written(connection.dialect, statement)
        await connection.exec_driver_sql(text, [tuple([row[name] for name in order]) for row in rows])


@lru_cache(maxsize=64)
def _written(dialect: sa.Dialect, statement: sa.Insert | sa.Update) -> tuple[str, tuple[str, ...]]:
    """The text of `statement` for `dialect`, and its parameters in their order."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ())
