"""Long computations beside the event loop, so that whoever asks for little is answered meanwhile.

A thread of Python is no faster; it gives way every few milliseconds, which the loop
does not do of itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LONG_TEXT: Final = 128 * 1024
"""Bytes of JSON that take longer to read than a hop to a thread and back is worth."""
MANY: Final = 500
"""References of which the same is true."""


async def aside(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `call` in a thread and return what it returns."""
    return await asyncio.to_thread(call, *args, **kwargs)


async def aside_if(long: bool, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `call` in a thread where it is `long`, else here and at once."""
    return await aside(call, *args, **kwargs) if long else call(*args, **kwargs)
