"""The middle of the demonstration: the database is deleted, and made again from what lies in the object store."""

import asyncio
from typing import Any

from sqlalchemy import make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from examples.demo.service import Service
from examples.demo.stage import Terminal, UnexpectedError, expect, say, scene

Answers = dict[tuple[str, ...], str]

_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
_MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
_EMPTYING = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def claim_index(service: Service) -> None:
    """See that the chosen database is empty: what is in it will be deleted."""
    if service.index == "SQLite":
        return
    expect(
        _execute(service, _TABLES) == 0,
        "CUSTODY_DATABASE_URL names a database with tables in it. The demonstration deletes its database: "
        "give it an empty one",
    )


def empty_index(service: Service) -> None:
    """Leave the chosen database as it was found."""
    if service.index != "SQLite":
        _execute(service, *_EMPTYING)


def answers(terminal: Terminal, *files: str) -> Answers:
    """Ask the service about `files`, word for word as programs would read it."""
    asked = [("custody", question, file, "--json") for file in files for question in ("verify", "trace")]
    return {words: terminal.ask(*words) for words in asked}


def lose_index(terminal: Terminal, service: Service, exported: dict[str, str], *files: str) -> None:
    """Delete the index while nobody serves, fill a new one, and see that nothing is missing."""
    before = answers(terminal, *files)
    scene("The database is lost. The service is stopped and its index deleted, every row of it")
    expect(service.stop() == 0, "the service did not stop as it should")
    say(f"stopped {service.url}")
    delete_index(service)

    scene("What was acknowledged lies in the object store, and the index is only a copy: it is made again")
    service.own.run("custody-server", "reindex", "--data", str(service.data), "--public-url", service.url)

    scene("Started again: the same address, the same token, and the same answers")
    expect(service.start() == exported, "`custody-server env` says something else than before")
    terminal.run("custody", "verify", files[0])
    terminal.run("custody", "trace", files[0])
    after = answers(terminal, *files)
    differing = [" ".join(words) for words in before if after[words] != before[words]]
    expect(not differing, f"another answer than before: {'; '.join(differing)}")
    say(f"All {len(before)} answers (verify and trace of {', '.join(files)}) are the same, byte for byte.")


def delete_index(service: Service) -> None:
    """Delete the database, or all that is in it where the role may make none."""
    if service.index == "SQLite":
        service.terminal.run("rm", "-r", str(service.data / "index"))
        return
    named = _url(service).database or ""
    quoted = '"' + named.replace('"', '""') + '"'
    if _execute(service, _MAY_CREATE):
        # Said from another database: none can be dropped from inside.
        _say_and_execute(service, f"DROP DATABASE {quoted}", database="postgres")
        _say_and_execute(service, f"CREATE DATABASE {quoted}", database="postgres")
    else:
        for statement in _EMPTYING:
            _say_and_execute(service, statement)
    expect(_execute(service, _TABLES) == 0, "there is something left in the database")


def _say_and_execute(service: Service, statement: str, database: str | None = None) -> None:
    say(f"sql> {statement};")
    _execute(service, statement, database=database)


def _url(service: Service) -> URL:
    """The database as the service reads its setting, with the driver that is installed."""
    return make_url(service.settings["CUSTODY_DATABASE_URL"]).set(drivername="postgresql+asyncpg")


def _execute(service: Service, *statements: str, database: str | None = None) -> Any:  # Any: a column value
    """Run `statements`, there or in another database; return the first column of what the last found."""
    url = _url(service)
    try:
        return asyncio.run(_executed(url.set(database=database or url.database), statements))
    except (OSError, SQLAlchemyError) as error:
        raise UnexpectedError(f"the database refuses: {error}") from error


async def _executed(url: URL, statements: tuple[str, ...]) -> Any:  # Any: a column value
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            found = [await connection.execute(text(statement)) for statement in statements][-1]
            return found.scalar() if found.returns_rows else None
    finally:
        await engine.dispose()
