"""A progress bar for long hashing and uploads, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PATIENCE = 0.7
"""Seconds of silence before a bar appears: most work is done by then."""


class Advance(Protocol):
    """Takes in how far the work is."""

    def __call__(self, done: int, total: int, /) -> None:
        """Note that `done` of `total` bytes are done."""


class Bar:
    """A bar that is loaded and shown only once the work turns out to be long."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._since = time.monotonic()
        self._shown: object | None = None
        self._advance: Advance | None = None

    def __call__(self, done: int, total: int, /) -> None:
        """Note that `done` of `total` bytes are done."""
        if self._advance is None and time.monotonic() - self._since > PATIENCE:
            self._show()
        if self._advance is not None:
            self._advance(done, total)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        shown = Progress(*columns, console=Console(stderr=True), transient=True)
        task = shown.add_task(self._title, total=None)
        shown.start()
        self._shown = shown
        self._advance = lambda done, total: shown.update(task, completed=done, total=total)

    def close(self) -> None:
        """Remove the bar."""
        stop = getattr(self._shown, "stop", None)
        if stop is not None:
            stop()
        self._shown = self._advance = None


@contextmanager
def bar(title: str) -> Iterator[Advance | None]:
    """Yield what advances a bar called `title`, or None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    shown = Bar(title)
    try:
        yield shown
    finally:
        shown.close()
