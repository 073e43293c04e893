"""One chain makes the same tables on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from artifacts.db import alter
from artifacts.errors import InvalidInputError, UnavailableError
from artifacts.tables import metadata
from migrations.upgrading import downgrade, upgrade
from tests.postgres import Cluster
from tests.running_service import ROOT


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'index.db'}"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = cluster.empty()
    yield cluster.url(name)
    cluster.drop(name)


async def test_the_chain_makes_the_tables_and_can_be_undone_and_repeated(empty: str) -> None:
    def there_and_back(connection: sa.Connection) -> None:
        for _ in range(2):
            upgrade(connection)
            upgrade(connection)
            assert differences(connection) == []
            downgrade(connection, "base")
            assert tables(connection) == ["alembic_version"]

    await alter(empty, there_and_back)


async def test_each_migration_can_be_undone_alone(empty: str) -> None:
    def down_and_up_again(connection: sa.Connection) -> None:
        upgrade(connection)
        made = [tables(connection)]
        while made[-1] != ["alembic_version"]:
            downgrade(connection, "-1")
            made.append(tables(connection))
        assert len(made) > 3
        for before in reversed(made[:-1]):
            upgrade(connection, "+1")
            assert tables(connection) == before
        assert differences(connection) == []

    await alter(empty, down_and_up_again)


def tables(connection: sa.Connection) -> list[str]:
    found = sorted(sa.inspect(connection).get_table_names())
    connection.rollback()  # what only looked must not hold a transaction open over what follows
    return found


def differences(connection: sa.Connection) -> list[object]:
    found = list(compare_metadata(MigrationContext.configure(connection), metadata))
    connection.rollback()
    return found


@pytest.mark.slow
def test_several_that_migrate_at_once_do_it_once(postgres: Cluster, tmp_path: Path) -> None:
    name = postgres.empty()
    command = [sys.executable, "-m", "api.commands", "migrate", "--data", str(tmp_path)]
    environment = {**os.environ, "CUSTODY_DATABASE_URL": postgres.url(name)}
    started = [subprocess.Popen(command, env=environment, cwd=ROOT) for _ in range(4)]
    assert [one.wait(100) for one in started] == [0, 0, 0, 0]
    assert len(postgres.execute("SELECT * FROM alembic_version", database=name)) == 1
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
    assert postgres.execute(held) == []
    postgres.drop(name)


@pytest.mark.slow
async def test_a_database_that_does_not_keep_utf_8_is_refused(postgres: Cluster) -> None:
    name = "no_encoding"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
    with pytest.raises(InvalidInputError, match="UTF-8") as refused:
        await alter(postgres.url(name), upgrade)
    assert refused.value.facts == {"encoding": "SQL_ASCII"}
    postgres.drop(name)


async def test_where_no_server_answers_migrating_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the index cannot be used"):
        await alter(f"postgresql+asyncpg://custody@/custody?host={tmp_path}", upgrade)
