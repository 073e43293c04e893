"""PostgreSQL links what was filed in a moment by plans for as many rows as there are."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.reindex.corpus import journal_tokens, reindex
from tests.reindex.test_repeated import a_record, sent
from tests.service import Service

_TABLES = ("step", "step_input", "step_output")
_THERE = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in _TABLES)  # noqa: S608 - our own names
_COUNTED = f"SELECT reltuples FROM pg_class WHERE relname IN {_TABLES} ORDER BY relname"  # noqa: S608 - see above


@pytest.mark.both_databases
async def test_tables_are_counted_before_their_steps_are_linked(
    service: Service, fresh: Service, index: str | None
) -> None:
    await journal_tokens(service)
    for _ in range(3):
        assert (await sent(service, a_record())).status_code == 201
    await service.sign()
    assert (await reindex(fresh)).counts["records signed"] == 3
    async with fresh.database.reading() as connection:
        found = await connection.execute(sa.text(_THERE if index is None else _COUNTED))
        assert list(found.scalars()) == [3, 12, 9]
