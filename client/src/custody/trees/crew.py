"""A few threads that share a list of jobs with other processes, and stop at the first thing that goes wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from custody.trees.tickets import MOST, Tickets

Tool = TypeVar("Tool")


class Crew(Generic[Tool]):
    """Does jobs in several threads, each with a tool of its own (a connection).

    `work` may be called in several forks of one process: they share the jobs.
    """

    def __init__(
        self,
        make: Callable[[], Tool],
        close: Callable[[Tool], None],
        jobs: Sequence[Callable[[Tool], None]],
    ) -> None:
        self._make = make
        self._close = close
        self._jobs = jobs
        self._tickets = Tickets(len(jobs))
        self._failure: BaseException | None = None

    def work(self, threads: int) -> None:
        """Do the jobs that nobody else does, in any order; one thread is this one.

        Raises:
            Exception: What the first failing job raised; the others are not begun.
        """
        team = [threading.Thread(target=self._labour, daemon=True) for _ in range(threads - 1)]
        for one in team:
            one.start()
        try:
            self._labour()
            for one in team:
                one.join()
        except BaseException:
            self._tickets.void()
            for one in team:
                one.join()
            raise
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Drop the list of jobs; nobody may be at work."""
        self._tickets.close()

    def _labour(self) -> None:
        try:
            tool = self._make()
            try:
                while (ticket := self._tickets.draw()) is not None:
                    for job in self._jobs[ticket::MOST]:
                        job(tool)
            finally:
                self._close(tool)
        except BaseException as error:
            # Nobody may go on writing while the work is undone.
            self._tickets.void()
            self._failure = self._failure or error


def size(jobs: int) -> int:
    """Return how many connections are worth their while: more than processors, since each also waits."""
    return max(1, min(jobs, (os.cpu_count() or 1) + 2, 8))
