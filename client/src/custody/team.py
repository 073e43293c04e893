"""Jobs over several connections at once, which one Ctrl-C or one failure ends together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from queue import SimpleQueue
from typing import Generic, TypeVar

from custody.service import Service

CONNECTIONS = 8
"""Connections at once: the service takes the writes that arrive together in one go."""

Job = TypeVar("Job")
Result = TypeVar("Result")


class Team(Generic[Job, Result]):
    """A few threads, each with a connection of its own, that take jobs from one list."""

    def __init__(self, services: Sequence[Service], work: Callable[[Service, Job], Result]) -> None:
        self._services = services
        self._work = work
        self._results: SimpleQueue[Result | BaseException] = SimpleQueue()
        self._lock = threading.Lock()
        self._over = False

    def results(self, jobs: Sequence[Job]) -> Generator[Result, None, None]:
        """Do the jobs and yield what each gave, in the order in which they are done.

        No thread is at work any more once this is closed, however it ends.

        Raises:
            Exception: What the first failing job raised; what else was under way is abandoned.
        """
        waiting = iter(jobs)
        threads = [
            threading.Thread(target=self._labour, args=(service, waiting), daemon=True)
            for service in self._services[: len(jobs)]
        ]
        try:
            for one in threads:
                one.start()
            for _ in jobs:
                found = self._results.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            self._dismiss(threads)

    def _labour(self, service: Service, waiting: Iterator[Job]) -> None:
        try:
            while not self._over:
                with self._lock:
                    job = next(waiting)
                self._results.put(self._work(service, job))
        except StopIteration:
            return
        except BaseException as error:  # it belongs to whoever waits for the results
            self._results.put(error)

    def _dismiss(self, threads: Sequence[threading.Thread]) -> None:
        self._over = True
        for service in self._services:
            service.transport.abandon()
        for one in threads:
            if one.ident is not None:
                one.join()
        for service in self._services:
            service.transport.close()
