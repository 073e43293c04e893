"""What `custody-server doctor` finds out about an index in PostgreSQL; it changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from artifacts.storage.checkup import Finding, Verdict
from migrations.roles import differences
from migrations.upgrading import configuration

_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_SHOWN = 6


def findings(connection: sa.Connection, process: str | None) -> Iterator[Finding]:
    """Look at the server, the schema, and what whoever is connected may do as `process`."""
    version = _shown(connection, "server_version")
    yield Finding("server", Verdict.GOOD, f"PostgreSQL {version}")
    yield _schema(connection)
    yield _durable(connection)
    yield _collation(connection)
    if process is None:
        yield Finding("privileges", Verdict.NOTE, "not compared: say --process api, signer or worker")
        return
    told = differences(connection, process)
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    said = ", ".join(told[:_SHOWN]) + more or f"what the {process} writes, and nothing else"
    yield Finding("privileges", Verdict.BAD if told else Verdict.GOOD, said)


def _shown(connection: sa.Connection, setting: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {setting}").scalar_one())


def _schema(connection: sa.Connection) -> Finding:
    there = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(configuration()).get_current_head()
    if there == newest:
        return Finding("schema", Verdict.GOOD, f"the newest, {newest}")
    return Finding("schema", Verdict.BAD, f"{there or 'none'}, not {newest}: custody-server migrate")


def _durable(connection: sa.Connection) -> Finding:
    off = [name for name in _DURABLE if _shown(connection, name) == "off"]
    if off:
        return Finding("durability", Verdict.BAD, f"{', '.join(off)} off: what is acknowledged may be lost")
    return Finding("durability", Verdict.GOOD, "a commit is on the disk before it is acknowledged")


def _collation(connection: sa.Connection) -> Finding:
    asked = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    collation = str(connection.exec_driver_sql(asked).scalar_one())
    if collation in {"C", "POSIX"}:
        return Finding("collation", Verdict.GOOD, collation)
    return Finding(
        "collation", Verdict.NOTE, f"{collation}: names are listed in another order than by SQLite"
    )
