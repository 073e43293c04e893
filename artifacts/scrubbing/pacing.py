"""Reading no faster than was asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

LEAST: Final = 16 * 1024
"""What an object counts as at least: one that is asked for costs, however small it is."""


@dataclass(slots=True)
class Pace:
    """Lets through so many bytes a second, or without a rate as many as come."""

    per_second: int | None = None
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _free_at: float = 0.0

    async def __call__(self, count: int) -> None:
        """Wait until `count` more bytes may be read."""
        if not self.per_second:
            return
        now = self.now()
        # Time that went by unused is not saved up.
        self._free_at = max(self._free_at, now) + count / self.per_second
        if self._free_at > now:
            await self.sleep(self._free_at - now)
