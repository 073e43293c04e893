"""Numbers that threads and processes draw, each number once."""

from __future__ import annotations

import os

_SIZE = 4
MOST = 1000
"""As many fit into any pipe, so that nobody has to wait to write them."""


class Tickets:
    """The numbers from 0 up to `count`, drawn in order by all who share them, forks included.

    They lie in a pipe: the kernel hands each out once and forgets the rest with the
    last process that could draw, so there is no lock that a killed process could hold.
    """

    def __init__(self, count: int) -> None:
        """Lay out the tickets; at most `MOST`."""
        self._owner = os.getpid()
        self._reader, writer = os.pipe()
        os.write(writer, b"".join(number.to_bytes(_SIZE, "little") for number in range(min(count, MOST))))
        os.close(writer)

    def draw(self) -> int | None:
        """Return the next number, or None when there is none left, or nobody who wants the work done."""
        if self._owner not in (os.getpid(), os.getppid()):
            return None
        found = os.read(self._reader, _SIZE)
        return int.from_bytes(found, "little") if found else None

    def void(self) -> None:
        """Leave no number to anybody."""
        while os.read(self._reader, _SIZE * MOST):
            pass

    def close(self) -> None:
        """Close this process's end."""
        os.close(self._reader)
