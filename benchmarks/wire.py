"""Counting what passes on the wire between a client and a service."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 16


class Counter:
    """Passes connections on to `url` and counts the bytes of both directions."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._service = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._passed = 0

    @property
    def url(self) -> str:
        """Where a client finds the service through it."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def taken(self) -> int:
        """Return the bytes that passed since the last call."""
        with self._lock:
            passed, self._passed = self._passed, 0
        return passed

    def serve(self) -> None:
        """Take connections until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                service = socket.create_connection(self._service)
                self._ends += (client, service)
                for one, other in ((client, service), (service, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and end those that are open."""
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(_PIECE):
                # Counted before it is passed on, so that nobody who has it finds it uncounted.
                with self._lock:
                    self._passed += len(piece)
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def counted(url: str) -> Iterator[Counter]:
    """Yield a counter between clients and the service at `url`."""
    counter = Counter(url)
    thread = threading.Thread(target=counter.serve, daemon=True)
    thread.start()
    try:
        yield counter
    finally:
        counter.close()
        thread.join()
