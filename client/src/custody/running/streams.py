"""Passing a command's output through, live, while a copy is kept.

The command sees pipes and not a terminal, so programs that colour only terminals
do not; those with an option or variable for it (`CLICOLOR_FORCE`, `--color`) can be told.
"""

from __future__ import annotations

import os
import select
import threading
import time

from custody.running.log import LineBuffer

_CHUNK = 64 * 1024
_LOOK_UP = 0.1
LINGER = 2.0
"""Seconds that output may stay silent after the command ended before we stop waiting for more.

A background child that inherited the pipe would otherwise keep us for ever.
"""


class Passage(threading.Thread):
    """Copies one pipe to one descriptor of ours and into the log."""

    def __init__(self, source: int, target: int, kept: LineBuffer) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._target = target
        self._kept = kept
        self._ended = threading.Event()

    def finish(self) -> None:
        """Wait until all the command wrote has been passed on."""
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Copy until the other end is closed, or silent after the command ended."""
        try:
            while chunk := self._next():
                self._kept.write(chunk)
                _write_all(self._target, chunk)
        except OSError:
            # Our own reader is gone (`custody run … | head`). Closing the pipe tells the
            # command, which decides what to do about it, as it would without us.
            pass
        finally:
            os.close(self._source)
            self._kept.end()

    def _next(self) -> bytes:
        silent_since: float | None = None
        while True:
            ready, _, _ = select.select([self._source], [], [], _LOOK_UP)
            if ready:
                return os.read(self._source, _CHUNK)
            if not self._ended.is_set():
                continue
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > LINGER:
                return b""


def _write_all(target: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:
            # Some parents hand down descriptors that do not block.
            select.select([], [target], [], 1.0)
