"""What an error of a database says: wait and try again, give way to another, or a mistake of ours.

Told from the codes alone, so that nothing here knows a driver.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec, TypeVar

from artifacts.errors import CustodyError, GaveWayError, InvalidInputError, UnavailableError

P = ParamSpec("P")
R = TypeVar("R")

_SQLITE: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""Primary result codes of SQLite that say nothing about the request."""

_POSTGRESQL: Final = ("08", "53", "57", "58", "25006", "25P03", "25P04", "55P03")
"""How those of PostgreSQL begin: connection, resources, operator (time-outs too), the system,
a server that only reads or dropped an idle transaction, a lock that did not come in time."""

_GAVE_WAY: Final = ("40001", "40P01", "23505")
"""Two transactions could not both go on; this one was undone, and may simply be repeated.

A unique key is among them: where two write the same for the first time, the one that comes
second sees on its next trial what stands."""

_NO_TEXT: Final = "22021"
"""PostgreSQL has no zero byte in text. Nothing that is recorded has one either; a question may."""

TRIALS: Final = 6
_FIRST_PAUSE: Final = 0.005


def outage(error: object, *, gone: bool = False) -> CustodyError | None:
    """What `error` of a driver means for the caller; None where it is a mistake in a statement.

    Args:
        error: what the driver raised.
        gone: the connection cannot be used any more.
    """
    state = getattr(error, "sqlstate", None)
    code = getattr(error, "sqlite_errorcode", None)
    if state in _GAVE_WAY:
        return GaveWayError("others were writing the same at the same time", reason=state)
    if state == _NO_TEXT:
        return InvalidInputError("text with a zero byte is none that an index keeps")
    if code is not None and code & 0xFF in _SQLITE:
        return _unusable(getattr(error, "sqlite_errorname", None))
    if gone or (isinstance(state, str) and state.startswith(_POSTGRESQL)):
        return _unusable(state)
    return None


def unreachable(error: BaseException) -> UnavailableError:
    """No connection was to be had, whatever the reason: the caller can only come back."""
    return _unusable(getattr(error, "sqlstate", None) or type(error).__name__)


def _unusable(reason: object) -> UnavailableError:
    return UnavailableError(
        "the index cannot be used",
        hint="check that its disk has room and is writable, and that the database server answers",
        reason=reason,
    )


def repeated(work: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Run `work` again where its transaction gave way to another; it must be safe to repeat.

    This is the only place that does so. After a few trials the caller is asked to.
    """

    @functools.wraps(work)
    async def until_it_stands(*args: P.args, **kwargs: P.kwargs) -> R:
        for trial in range(1, TRIALS):
            try:
                return await work(*args, **kwargs)
            except GaveWayError:
                await asyncio.sleep(_FIRST_PAUSE * 2**trial)
        return await work(*args, **kwargs)

    return until_it_stands
