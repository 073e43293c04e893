"""Several connections that upload at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeAlias

from custody.service import Service
from custody.transport import Transport

CONNECTIONS = 3

Job: TypeAlias = Callable[[Service], None]


class Lines:
    """Takes jobs for a few connections, and never many more jobs than connections."""

    def __init__(self, transport: Transport, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._free: SimpleQueue[Service] = SimpleQueue()
        self._services = [Service(transport.twin()) for _ in range(CONNECTIONS)]
        for service in self._services:
            self._free.put(service)
        self._running: set[Future[None]] = set()

    def do(self, job: Job) -> None:
        """Begin `job`, once there are few enough; raise what an earlier one raised."""
        if len(self._running) > CONNECTIONS:
            done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
            for one in done:
                one.result()
        self._running.add(self._pool.submit(self._with_connection, job))

    def finish(self) -> None:
        """Wait for all jobs; raise what one of them raised."""
        running, self._running = self._running, set()
        for one in running:
            one.result()

    def close(self) -> None:
        """Drop the connections."""
        for service in self._services:
            service.transport.close()

    def _with_connection(self, job: Job) -> None:
        service = self._free.get()
        try:
            job(service)
        finally:
            self._free.put(service)


@contextmanager
def opened(transport: Transport) -> Iterator[Lines]:
    """Yield connections to the service of `transport`; all jobs have ended afterwards."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        lines = Lines(transport, pool)
        try:
            yield lines
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            lines.close()
