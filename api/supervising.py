"""Running the three processes of the embedded service, and restarting one that dies.

A child gets the read end of a pipe as standard input; when this process goes away,
however it goes, the child reads the end of the file and stops.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_BACKOFF: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS: Final = 10.0
STOP_SECONDS: Final = 15.0


class GaveUpError(Exception):
    """A process died again and again right after its start."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process: its name and the arguments after `custody-server`."""

    name: str
    arguments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Stopping:
    """`soon`: finish and end. `now`: end."""

    soon: asyncio.Event
    now: asyncio.Event


async def keep_running(child: Child, environment: Mapping[str, str], stopping: Stopping) -> None:
    """Run `child` until it is to stop, starting it again when it dies.

    Raises:
        GaveUpError: it died five times in a row within seconds of its start.
    """
    failures = 0
    while not stopping.soon.is_set():
        began = asyncio.get_running_loop().time()
        status = await _run_once(child, environment, stopping)
        if stopping.soon.is_set():
            return
        steady = asyncio.get_running_loop().time() - began > _STEADY_SECONDS
        failures = 1 if steady else failures + 1
        if failures > len(_BACKOFF):
            raise GaveUpError(f"{child.name} keeps stopping with status {status}; its log has the reason")
        pause = _BACKOFF[failures - 1]
        sys.stderr.write(f"custody-server: {child.name} stopped with status {status}, again in {pause} s\n")
        await asyncio.sleep(pause)


async def _run_once(child: Child, environment: Mapping[str, str], stopping: Stopping) -> int:
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.commands",
        *child.arguments,
        "--supervised",
        stdin=asyncio.subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,  # Ctrl-C reaches this process alone; it tells the children
    )
    ended = asyncio.create_task(running.wait())
    if not await _first(ended, stopping.soon):
        running.terminate()
        if not await _first(ended, stopping.now, seconds=STOP_SECONDS):
            running.kill()
    return await ended


async def _first(ended: asyncio.Task[int], event: asyncio.Event, *, seconds: float | None = None) -> bool:
    """Whether the process ended before `event`, and in time."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({ended, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return ended.done()


def stop_with_parent() -> None:
    """Stop this process when standard input ends. Call it in a child, before its loop runs."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
