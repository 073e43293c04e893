"""Being told to stop: once means to finish what is under way, twice to drop it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

Again = Callable[[int], None]


def stopped_by_signals(again: Again | None = None) -> asyncio.Event:
    """An event that is set by SIGTERM or SIGINT. Call it inside the running loop.

    Who is told once more calls `again` with the signal, and without that dies of it at once:
    nothing that was acknowledged is lost by it, and leases end by themselves.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: int) -> None:
        if stop.is_set():
            (again or die_of)(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    return stop


def die_of(number: int) -> None:
    """End this process by the signal itself, here and now."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def told_already(number: int) -> None:
    """Go on stopping: `serve` and whoever stops `serve` may both tell its children."""
    del number
