"""How the database of the index is named, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from api import wiring
from api.commands import main
from api.commands.options import environment_of
from api.settings import Settings
from artifacts.errors import UnavailableError


@pytest.mark.parametrize(
    "written", ["postgresql://u:p@h/n", "postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"]
)
def test_a_postgresql_url_finds_its_driver(written: str) -> None:
    assert Settings(database_url=written).index_url == "postgresql+asyncpg://u:p@h/n"


@pytest.mark.parametrize(
    "written", ["", "mysql://h/n", "sqlite:///x", "postgresql:h/n", "/var/lib/custody.db"]
)
def test_a_url_of_anything_else_is_refused(written: str) -> None:
    with pytest.raises(ValidationError, match="postgresql://"):
        Settings(database_url=written)


def test_without_one_the_index_lies_in_the_data_folder(tmp_path: Path) -> None:
    assert Settings(data=tmp_path).index_url == f"sqlite+aiosqlite:///{tmp_path}/index/custody.db"


def test_the_processes_that_serve_starts_find_the_same_database() -> None:
    settings = Settings(database_url="postgresql://u:p@h/n", database_lock_seconds=3)
    given = environment_of(settings)
    assert given["CUSTODY_DATABASE_URL"] == settings.index_url
    assert given["CUSTODY_DATABASE_LOCK_SECONDS"] == "3.0"


async def test_a_database_that_nobody_serves_is_unavailable(tmp_path: Path) -> None:
    database = wiring.open_database(Settings(database_url=f"postgresql://custody@/custody?host={tmp_path}"))
    for opened in (database.reading, database.writing):
        with pytest.raises(UnavailableError, match="the index cannot be used"):
            async with opened():
                pass
    await database.close()


def test_migrating_where_nobody_serves_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUSTODY_DATABASE_URL", f"postgresql://custody@/custody?host={tmp_path}")
    assert main(["migrate", "--data", str(tmp_path / "data")]) == 4
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "custody-server: the index cannot be used"
    assert told[1].startswith("hint: ")


def test_sqlite_has_no_roles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--roles", "--data", str(tmp_path / "data")]) == 4
    assert capsys.readouterr().err.startswith("custody-server: only PostgreSQL has roles\n")
