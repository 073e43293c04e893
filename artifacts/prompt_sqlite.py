"""SQLite without a hop to another thread where there is nothing to wait for.

A look-up in SQLite takes 10 to 50 µs, handing it to a thread and taking back its answer
five times that, and each statement needs several of them. So what cannot wait runs
where it is asked for. What may wait for another process's lock or for the disk does not:
`BEGIN IMMEDIATE`, `COMMIT`, pragmas and closing have the connection's own thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

import aiosqlite

_WAITING_CALLS: Final = frozenset({"commit", "close", "executescript"})
_WAITING_STATEMENTS: Final = ("BEGIN IMMEDIATE", "PRAGMA")
_PATIENT: Final[ContextVar[bool]] = ContextVar("patient", default=False)


@contextmanager
def patiently(long: bool) -> Iterator[None]:
    """Give the statements of the block the connection's thread where they have so much to do that it is `long`.

    For statements that are one step to SQLite. Many small steps in a thread wait for the
    loop before each of them, which takes for ever where the loop is busy.
    """
    before = _PATIENT.set(long)
    try:
        yield
    finally:
        _PATIENT.reset(before)


class PromptConnection(aiosqlite.Connection):
    """A connection that answers at once, unless it has to wait.

    Reads under WAL wait for nobody, and writes only happen in a transaction that got its
    lock by `BEGIN IMMEDIATE`. As before, one coroutine uses a connection at a time.
    """

    async def _execute(  # Any: whatever sqlite3 takes and gives
        self, fn: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        if _PATIENT.get() or _may_wait(fn, args):
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # theirs has no types
        return fn(*args, **kwargs)


def connect(path: str, **arguments: Any) -> PromptConnection:  # Any: passed on to sqlite3 as it is
    """Open the database at `path`; awaiting the result connects."""
    opened = PromptConnection(
        partial(sqlite3.connect, path, **{**arguments, "check_same_thread": False}), iter_chunk_size=64
    )
    # A connection that nobody closed must not keep the process alive; SQLAlchemy does the same.
    opened._thread.daemon = True  # noqa: SLF001 - the library has no other way to say so
    return opened


def _may_wait(fn: Callable[..., Any], args: tuple[Any, ...]) -> bool:  # Any: see above
    if fn.__name__ in _WAITING_CALLS:
        # Closing a cursor waits for nothing; closing a connection may write back the log.
        return isinstance(getattr(fn, "__self__", None), sqlite3.Connection)
    return bool(args) and isinstance(args[0], str) and args[0].startswith(_WAITING_STATEMENTS)
