"""What is left behind: every row of the index and every object of the store."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    return Remains(_rows(folder / "index" / "custody.db"), _objects(folder / "objects"))


def _rows(path: Path) -> dict[str, frozenset[tuple[Any, ...]]]:
    with sqlite3.connect(path) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {
            name: frozenset(connection.execute(f'SELECT * FROM "{name}"').fetchall())  # noqa: S608  # names are the schema's own
            for name in names
            if name not in _PASSING
        }
    connection.close()
    return found


def _objects(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def query(folder: Path, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Read the index behind the service's back."""
    with sqlite3.connect(folder / "index" / "custody.db") as connection:
        found = connection.execute(text, values).fetchall()
    connection.close()
    return found


def change(folder: Path, text: str, *values: object) -> None:
    """Write to the index behind the service's back, as a hostile api could."""
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
