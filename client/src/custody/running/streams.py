"""Passing a command's output through, live, while a copy is kept.

The command sees pipes and not a terminal, so programs that colour only terminals
do not; those with an option or variable for it (`CLICOLOR_FORCE`, `--color`) can be told.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import time

from custody.running.log import LineBuffer

_CHUNK = 64 * 1024
_LOOK_UP = 0.1
LINGER = 2.0
"""Seconds that output may stay silent after the command ended before we stop waiting for more.

A background child that inherited the pipe would otherwise keep us for ever.
"""

LINGER_MOST = 10.0
"""Seconds after the command ended at which we stop, also if a background child goes on talking."""


class Passage(threading.Thread):
    """Copies one pipe to one descriptor of ours and into the log."""

    def __init__(self, source: int, target: int, kept: LineBuffer) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._target = target
        self._kept = kept
        self._ended = threading.Event()
        self._deadline = 0.0
        self._owed = 0
        self.left_talking = False
        """Whether somebody still held the pipe when we stopped; what they write now breaks it."""

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
        while not self._overdue():
            ready, _, _ = select.select([self._source], [], [], _LOOK_UP)
            if ready:
                chunk = os.read(self._source, _CHUNK)
                self._owed -= len(chunk)
                return chunk
            if not self._ended.is_set():
                continue
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > LINGER:
                break
        self.left_talking = True
        return b""

    def _overdue(self) -> bool:
        """Return whether the command ended long ago, and all that it wrote itself was passed on."""
        if not self._ended.is_set():
            return False
        if not self._deadline:
            # However slow our reader is: what was in the pipe by now is the command's.
            self._owed = _waiting(self._source)
            self._deadline = time.monotonic() + LINGER_MOST
        return self._owed <= 0 and time.monotonic() > self._deadline


def _waiting(pipe: int) -> int:
    """Return how many bytes are in `pipe`."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


def _write_all(target: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:
            # Some parents hand down descriptors that do not block.
            select.select([], [target], [], 1.0)
