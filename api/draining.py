"""The HTTP server of the api, which finishes what is under way before it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from api.stopping import Again, die_of


class DrainingServer(uvicorn.Server):
    """Told to stop it calls `told`, serves on for `seconds`, and then waits for the requests under way.

    The seconds are for load balancers: they see that it is not ready while it still takes
    connections. Who is told twice calls `again`, by default dies at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        told: Callable[[], None],
        seconds: float = 0,
        again: Again = die_of,
    ) -> None:
        super().__init__(config)
        self._told = told
        self._seconds = seconds
        self._again = again
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, or stop at once."""
        if self._until is not None:
            self._again(sig)
            return
        self._until = time.monotonic() + self._seconds
        self._told()
        super().handle_exit(sig, frame)
        self.should_exit = self._seconds == 0

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; asked ten times a second."""
        over = self._until is not None and time.monotonic() >= self._until
        return await super().on_tick(counter) or over
