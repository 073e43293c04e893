"""What is left behind: every row of the index and every object of the store."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres import look

# Requests under an Idempotency-Key leave a reservation, which ends after a day.
_PASSING = {"alembic_version", "idempotency", "sqlite_sequence"}


@dataclass(frozen=True)
class Remains:
    """Rows by table, and objects by key with the digest of their bytes."""

    rows: dict[str, frozenset[tuple[Any, ...]]]
    objects: dict[str, str]

    def keys(self, prefix: str) -> list[str]:
        """The objects whose key begins so."""
        return sorted(key for key in self.objects if key.startswith(prefix))

    def changed(self, before: Remains) -> set[str]:
        """The tables and objects that are not as they were."""
        tables = {name for name in self.rows if self.rows[name] != before.rows[name]}
        objects = set(dict(self.objects.items() ^ before.objects.items()))
        return tables | objects


def remains(folder: Path) -> Remains:
    """Look at what lies in the data folder `folder`."""
    return Remains(_rows(folder), _objects(folder / "objects"))


def _rows(folder: Path) -> dict[str, frozenset[tuple[Any, ...]]]:
    names = [row[0] for row in query(folder, _TABLES[_server(folder) is not None])]
    return {
        name: frozenset(query(folder, f'SELECT * FROM "{name}"'))  # noqa: S608  # names are the schema's own
        for name in names
        if name not in _PASSING
    }


_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table'",
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
)


def _server(folder: Path) -> str | None:
    """The URL of the index, where it is on a server."""
    try:
        return (folder / "index" / "url").read_text()
    except FileNotFoundError:
        return None


def _objects(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def query(folder: Path, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Read the index behind the service's back."""
    server = _server(folder)
    if server is not None:
        return look(server, text, *values)
    with sqlite3.connect(folder / "index" / "custody.db") as connection:
        found = connection.execute(text, values).fetchall()
    connection.close()
    return found


def change(folder: Path, text: str, *values: object) -> None:
    """Write to the index behind the service's back, as a hostile api could."""
    server = _server(folder)
    if server is not None:
        look(server, text, *values)
        return
    with sqlite3.connect(folder / "index" / "custody.db") as connection:
        connection.execute(text, values)
    connection.close()


def files_with(folder: Path, secrets: Iterable[bytes]) -> list[str]:
    """The files under `folder` in which one of `secrets` can be read."""
    sought = list(secrets)
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in sought)
    )
