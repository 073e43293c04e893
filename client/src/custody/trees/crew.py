"""A few threads that share a list of jobs, and stop at the first thing that goes wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Tool = TypeVar("Tool")


class Crew(Generic[Tool]):
    """Does jobs in several threads, each with a tool of its own (a connection)."""

    def __init__(self, make: Callable[[], Tool], close: Callable[[Tool], None]) -> None:
        self._make = make
        self._close = close
        self._jobs: SimpleQueue[Callable[[Tool], None]] = SimpleQueue()
        self._failure: BaseException | None = None
        self._stop = threading.Event()

    def work(self, jobs: Iterable[Callable[[Tool], None]]) -> None:
        """Do all `jobs`, in any order.

        Raises:
            Exception: What the first failing job raised; the others are not begun.
        """
        count = 0
        for job in jobs:
            self._jobs.put(job)
            count += 1
        team = [threading.Thread(target=self._labour, daemon=True) for _ in range(size(count))]
        for one in team:
            one.start()
        try:
            for one in team:
                one.join()
        except BaseException:
            # Interrupted: nobody may go on writing while the work is undone.
            self._stop.set()
            for one in team:
                one.join()
            raise
        if self._failure is not None:
            raise self._failure

    @property
    def stopped(self) -> bool:
        """Whether the work is over before its end; for jobs that take long."""
        return self._stop.is_set()

    def _labour(self) -> None:
        tool = self._make()
        try:
            while not self._stop.is_set():
                self._jobs.get_nowait()(tool)
        except Empty:
            pass
        except BaseException as error:
            self._failure = self._failure or error
            self._stop.set()
        finally:
            self._close(tool)


def size(jobs: int) -> int:
    """Return how many threads are worth their while: more than processors, since each also waits."""
    return max(1, min(jobs, (os.cpu_count() or 1) + 2, 8))
