"""What the index says when it cannot do what it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from artifacts.db import connect


async def test_an_error_does_not_quote_what_somebody_sent(tmp_path: Path) -> None:
    database = connect(f"sqlite+aiosqlite:///{tmp_path / 'index.db'}")
    with pytest.raises(sa.exc.OperationalError) as refused:
        async with database.writing() as connection:
            await connection.execute(sa.text("INSERT INTO nowhere VALUES (:given)"), {"given": "hunter2"})
    await database.close()
    assert "hunter2" not in str(refused.value)
