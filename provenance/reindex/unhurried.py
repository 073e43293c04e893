"""Looking for circular garbage less often while an index is filled."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OBJECTS: Final = 50_000
_ROUNDS: Final = 20


@contextmanager
def unhurried() -> Iterator[None]:
    """Let the interpreter look for circular garbage seldom, and as before when the block ends.

    Millions of rows are made here and hardly any of them are circular: looking as often as
    usual took 6 % of the time of a reindex.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS, _ROUNDS, _ROUNDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
