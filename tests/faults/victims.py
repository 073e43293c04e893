"""A child process that does one operation and is broken at the n-th call of a kind.

It is forked from a process in which everything is imported and warm, waits until `strace`
is attached to it, and then begins. `strace` counts each kind of call for each thread.
Where it is missing or ptrace is not allowed, the same calls are counted where Python
makes them; those of SQLite are then out of reach.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

from artifacts.errors import CustodyError
from tests.faults.operations import OPERATIONS
from tests.faults.reopened import reopened

KILL: Final = "kill"
DIED: Final = -signal.SIGKILL
DURABLE: Final = (
    *("write", "pwrite64", "ftruncate", "fsync", "fdatasync"),
    *("linkat", "unlinkat", "unlink", "mkdirat", "renameat"),
)
"""The calls that change what is on the disk, of those that the service makes."""
IN_PYTHON: Final = {
    "write": "write",
    "fsync": "fsync",
    "linkat": "link",
    "unlinkat": "unlink",
    "mkdirat": "mkdir",
    "renameat": "rename",
}
_CALL: Final = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
_WORD: Final = 5
_SECONDS: Final = 120
_INJECTED: Final = "(INJECTED)"
_PR_SET_PTRACER: Final = 0x59616D61


@dataclass(frozen=True, order=True)
class Point:
    """The `number`-th call of a kind that a thread makes."""

    call: str
    number: int


@dataclass(frozen=True)
class Blow:
    """What happens at a point: `kill`, or the name of an error that the call returns."""

    point: Point
    fault: str
    traced: bool = True


@dataclass(frozen=True)
class Told:
    """How a child ended, what it had said by then, and whether and in which call the fault came."""

    status: int
    said: tuple[str, ...]
    errors: str
    struck: bool
    call: str = ""

    @property
    def within_index(self) -> bool:
        """Whether the call was one of SQLite."""
        return "/data/index" in self.call


def meet(folder: Path, operation: str, blow: Blow) -> Told:
    """Fork a child that does `operation` in `folder` and meets `blow`."""
    if not blow.traced:
        return _ended(folder, _forked(folder, operation, lambda: _patched(folder, blow)), folder / "struck")
    call = blow.point.call
    what = "signal=SIGKILL" if blow.fault == KILL else f"error={blow.fault}"
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:{what}:when={blow.point.number}"]
    return _traced(folder, operation, inject)


def points_of(folder: Path, operation: str, *, traced: bool = True) -> list[Point]:
    """Every durable call of `operation`, in the order in which they come when nothing is wrong."""
    if traced:
        told = _traced(folder, operation, ["-e", f"trace={','.join(DURABLE)}"])
        seen = _CALL.findall((folder / "trace").read_text(errors="replace"))
    else:
        told = _ended(folder, _forked(folder, operation, lambda: _patched(folder, None)), folder / "struck")
        seen = [("0", line) for line in (folder / "trace").read_text().split()]
    if "acked" not in told.said:
        raise AssertionError(f"{operation} fails without a fault: {told}")
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Point, None] = {}
    for thread, call in seen:
        counts[thread, call] += 1
        found[Point(call, counts[thread, call])] = None
    return list(found)


@cache
def can_trace() -> bool:
    """Whether strace can be attached to a child here."""
    found = shutil.which("strace")
    if found is None:
        return False
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _hold(theirs)
        os._exit(0)
    with ours, theirs:
        ours.recv(_WORD)
        tracer = _attached(child, Path(os.devnull), [])
        ours.send(b"begin")
    os.waitpid(child, 0)
    if tracer is None:
        return False
    tracer.communicate()
    return True


def _traced(folder: Path, operation: str, arguments: Sequence[str]) -> Told:
    ours, theirs = socket.socketpair()
    child = _forked(folder, operation, lambda: _hold(theirs))
    with ours, theirs:
        ours.recv(_WORD)
        tracer = _attached(child, folder / "trace", arguments)
        ours.send(b"begin")
    if tracer is None:
        raise AssertionError("strace could not be attached")
    told = _ended(folder, child, None)
    tracer.communicate()
    log = (folder / "trace").read_text(errors="replace")
    call = _struck(log.splitlines())
    return Told(told.status, told.said, told.errors, told.status == DIED or call is not None, call or "")


def _struck(log: Sequence[str]) -> str | None:
    """The line of the call that was made to fail; what another thread did may stand in between."""
    for at, line in enumerate(log):
        if _INJECTED in line:
            thread = line.split()[0]
            return next(one for one in reversed(log[: at + 1]) if re.match(rf"{thread} +\w+\(", one))
    return None


def _hold(channel: socket.socket) -> None:
    """In the child: say that it is ready, and wait until it is told to begin."""
    # Where a process may trace its descendants only, the tracer is none of those.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1))
    channel.send(b"ready")
    channel.recv(_WORD)


def _attached(child: int, log: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes] | None:
    """A tracer that has taken hold of `child`: every call that it makes from now on is counted."""
    command = ["strace", "-f", "-y", "-o", str(log), *arguments, "-p", str(child)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    if b"attached" in tracer.stderr.readline():
        return tracer
    tracer.communicate()
    return None


def _forked(folder: Path, operation: str, first: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(_SECONDS)
            for descriptor, name in ((1, "said"), (2, "errors")):
                opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600)
                os.dup2(opened, descriptor)
            asyncio.run(_operate(folder, operation, first))
        except BaseException:  # the child must end here, whatever happens
            os.writev(2, [traceback.format_exc().encode()])
        os._exit(1)
    return child


def _ended(folder: Path, child: int, struck: Path | None) -> Told:
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    said = tuple((folder / "said").read_text().split("\n"))
    errors = (folder / "errors").read_text(errors="replace")
    return Told(code, said, errors, code == DIED or (struck is not None and struck.exists()))


async def _operate(folder: Path, operation: str, first: Callable[[], None]) -> NoReturn:
    async with reopened(folder) as service:
        first()  # there is one thread yet, and no call of the operation was made
        try:
            await OPERATIONS[operation](service, tell, [])
        except CustodyError as error:
            tell(f"refused {error.slug}")
        except Exception as error:  # a fault may surface as anything
            tell(f"failed {type(error).__name__}: {error}")
            os.writev(2, [traceback.format_exc().encode()])
        else:
            tell("acked")
        # Closing tidies up; a crash does not.
        os._exit(0)


def tell(what: str) -> None:
    """Say to whoever waits what became of it.

    `writev` is used for that and for nothing else, so that faults injected into other
    calls do not hit the telling.
    """
    os.writev(1, [f"{what}\n".encode()])


def _patched(folder: Path, blow: Blow | None) -> None:
    """Count calls where Python makes them; only ever done in a child that ends."""
    trace = os.open(folder / "trace", os.O_WRONLY | os.O_CREAT, 0o600)
    for call, name in IN_PYTHON.items():
        setattr(os, name, _counting(call, getattr(os, name), folder, trace, blow))


def _counting(
    call: str, real: Callable[..., object], folder: Path, trace: int, blow: Blow | None
) -> Callable[..., object]:
    count = [0]

    def counting(*args: object, **kwargs: object) -> object:
        count[0] += 1
        os.writev(trace, [f"{call}\n".encode()])
        if blow is None or blow.point != Point(call, count[0]):
            return real(*args, **kwargs)
        if blow.fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        (folder / "struck").touch()
        number = getattr(errno, blow.fault)
        raise OSError(number, os.strerror(number))

    return counting
