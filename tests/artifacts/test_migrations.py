"""One chain, one head, equal to the tables, and it can be undone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from artifacts.db import alter
from artifacts.tables import metadata
from migrations.upgrading import configuration, downgrade, upgrade


def test_the_chain_has_one_head() -> None:
    assert len(ScriptDirectory.from_config(configuration()).get_heads()) == 1


def test_the_chain_makes_the_tables_and_can_be_undone_and_repeated() -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    with engine.connect() as connection:
        for _ in range(2):
            upgrade(connection)
            upgrade(connection)
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
            downgrade(connection, "base")
            assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()


async def test_a_migration_that_is_cut_off_anywhere_is_undone_and_can_be_run_again(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/whole.db"
    statements = Statements(stop_at=0)
    await alter(url, statements.upgrade)
    assert statements.seen > 40
    for stop_at in range(1, statements.seen + 1):
        url = f"sqlite+aiosqlite:///{tmp_path}/{stop_at}.db"
        with pytest.raises(CutOffError):
            await alter(url, Statements(stop_at).upgrade)
        await alter(url, upgrade)
        await alter(url, unchanged)


class CutOffError(Exception):
    """The process is gone."""


@dataclass
class Statements:
    """Counts the statements of an upgrade, and ends it before one of them."""

    stop_at: int
    seen: int = 0

    def upgrade(self, connection: sa.Connection) -> None:
        sa.event.listen(connection, "before_cursor_execute", self._see)
        upgrade(connection)

    def _see(self, *_of_the_statement: object) -> None:
        self.seen += 1
        if self.seen == self.stop_at:
            raise CutOffError


def unchanged(connection: sa.Connection) -> None:
    assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_every_foreign_key_has_an_index_that_begins_with_it() -> None:
    for table in metadata.tables.values():
        prefixes = [[column.name for column in index.columns] for index in table.indexes]
        prefixes.append([column.name for column in table.primary_key.columns])
        prefixes += [
            [column.name for column in one.columns]
            for one in table.constraints
            if isinstance(one, sa.UniqueConstraint)
        ]
        for key in table.foreign_key_constraints:
            columns = key.column_keys
            assert any(prefix[: len(columns)] == columns for prefix in prefixes), (table.name, columns)


def test_every_unique_key_of_a_project_carries_it() -> None:
    # Tokens are found by their hash before the project is known; ids of the queue leave it never;
    # there is one log for all.
    known_by_secret_or_internal = {
        ("token", ("id",)),
        ("token", ("hash",)),
        ("queue", ("id",)),
        ("log_leaf", ("number",)),
    }
    for table in metadata.tables.values():
        if "project" not in table.c:
            continue
        for one in table.constraints:
            if isinstance(one, sa.PrimaryKeyConstraint | sa.UniqueConstraint):
                names = tuple(column.name for column in one.columns)
                assert "project" in names or (table.name, names) in known_by_secret_or_internal
