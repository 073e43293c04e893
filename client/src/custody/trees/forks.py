"""Work shared with forks of this process, where threads would wait for one interpreter.

A checkout is ten thousand short system calls, between which threads only take the
interpreter from each other. A fork has everything that was read and opened so far, and
an interpreter of its own.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TypeAlias

from custody.errors import ContentError

MOST = 4
"""Processes beyond which the file system is what one waits for."""

_DONE, _FAILED = b"+", b"-"
_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PIECE = 1 << 16

# Any: `marshal` takes plain values of many types, and there is no name for them.
Work: TypeAlias = Callable[[int], Any]
"""Does a share as the process with this number, and returns plain values that `marshal` can write."""


def forkable() -> bool:
    """Whether a fork of this process can work: it has one thread, whoever started others."""
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def processors() -> int:
    """Return how many processes can run at once."""
    return max(1, min(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1, MOST))


def side_by_side(work: Work, absorb: Callable[[Any], None], processes: int) -> None:
    """Do `work` in this process, number 0, and in `processes - 1` forks of it at once.

    What the forks return is handed to `absorb` here. If anything goes wrong anywhere,
    no fork is left when this returns.

    Raises:
        Exception: What `work` raised, here or there.
    """
    forks: list[_Fork] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # An interrupt between a fork and its place in the list would leave nobody to end it.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        for number in range(1, processes):
            with suppress(OSError):  # no more processes or memory for one: fewer will do
                forks.append(_Fork(work, number))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        work(0)
        for fork in forks:
            absorb(fork.result())
    finally:
        _end(forks, before)


def _end(forks: Sequence[_Fork], before: Iterable[int]) -> None:
    """Leave no fork, and let through again what was held back."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # raises what came just before it
    finally:
        for fork in forks:
            fork.end()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Fork:
    """A process that does `work` and leaves without cleaning up after its parent."""

    def __init__(self, work: Work, number: int) -> None:
        # Signals are held back here, so that no handler of the parent's runs in the child.
        self._reader, writer = os.pipe()
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _labour(work, number, self._reader, writer)
        except OSError:
            os.close(self._reader)
            raise
        finally:
            os.close(writer)

    def result(self) -> Any:
        """Wait for what it returns.

        Raises:
            ContentError: It ended without a result.
            Exception: What it raised.
        """
        found = b"".join(iter(lambda: os.read(self._reader, _PIECE), b""))
        if found[:1] == _DONE:
            return marshal.loads(found[1:])  # noqa: S302 - written by our own fork
        if found[:1] != _FAILED:
            raise ContentError(
                "a process that did part of the work was killed", hint="is there enough memory?"
            )
        import pickle

        raise pickle.loads(found[1:])  # noqa: S301 - written by our own fork

    def end(self) -> None:
        """Make sure that it is gone; it has ended already unless something went wrong."""
        os.close(self._reader)
        # Whoever ignores SIGCHLD, or waits for any child, has taken the end of this one away.
        with suppress(ChildProcessError, ProcessLookupError):
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)


def _labour(work: Work, number: int, reader: int, writer: int) -> NoReturn:
    """Do a share and say what came of it. Whatever happens, nothing of the parent's goes on here."""
    try:
        # While it is open here too, writing waits for ever where the parent is dead.
        os.close(reader)
        # An interrupt from the terminal meets the parent, which then ends this process.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        try:
            said = _DONE + marshal.dumps(work(number))
        except Exception as error:
            said = _FAILED + _pickled(error)
        left = memoryview(said)
        while left:
            left = left[os.write(writer, left) :]
    finally:
        os._exit(0)


def _pickled(error: Exception) -> bytes:
    import pickle

    try:
        return pickle.dumps(error)
    except Exception:
        return pickle.dumps(ContentError(f"part of the work failed: {error!r}"))
