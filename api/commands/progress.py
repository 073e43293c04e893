"""Telling on standard error how far a long command has come."""

from __future__ import annotations

import sys
import time
from typing import Final

_TELL_SECONDS: Final = 0.5


class Progress:
    """Tells what is being read: over and over in one line on a terminal, else now and then."""

    def __init__(self, *, quiet: bool) -> None:
        self._terminal = sys.stderr.isatty() and not quiet
        self._quiet = quiet
        self._next = 0.0
        self._shown = False

    def __call__(self, what: str, done: int) -> None:
        """Tell that so many of `what` are done, unless something was told a moment ago."""
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        self._next = now + (_TELL_SECONDS if self._terminal else _TELL_SECONDS * 20)
        if self._terminal:
            sys.stderr.write(f"\r\033[K{what} {done:,}")
            sys.stderr.flush()
            self._shown = True
        else:
            print(f"{what} {done:,}", file=sys.stderr)

    def end(self) -> None:
        """Leave a clean line."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
