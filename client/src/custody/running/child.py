"""Running the command itself: its output passed through, its signals forwarded."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from custody.running.log import StepLog
from custody.running.streams import Passage
from custody.terminal import complain, warn

NOT_FOUND = 127
NOT_RUNNABLE = 126
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run_child(command: Sequence[str], environment: Mapping[str, str], log: StepLog) -> int:
    """Run `command` to its end and return its status as a shell would.

    128 and the number for a signal, 127 for a command that does not exist, 126 for one
    that cannot be run. Standard input is the child's.
    """
    shared = _holds_terminal()
    try:
        with _signals(shared=shared) as child_slot:
            child = subprocess.Popen(
                command,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                # A group of its own makes forwarded signals reach its children. In the
                # foreground of a terminal that would stop it from reading the keyboard.
                process_group=None if shared else 0,
            )
            child_slot.append(child)
            return _attend(child, log)
    except FileNotFoundError:
        complain(f"no such command: {command[0]}")
        return NOT_FOUND
    except OSError as error:
        complain(f"{command[0]}: {error.strerror}")
        return NOT_RUNNABLE


def _attend(child: subprocess.Popen[bytes], log: StepLog) -> int:
    passages = []
    for pipe, target in ((child.stdout, 1), (child.stderr, 2)):
        if pipe is not None:
            passages.append(Passage(os.dup(pipe.fileno()), target, log.stream()))
            pipe.close()
    # A thread takes over the mask of who starts it. A signal that one of these received
    # would not wake this one, which waits for the child and has to forward it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    for passage in passages:
        passage.start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    status = child.wait()
    for passage in passages:
        passage.finish()
    if any(passage.left_talking for passage in passages):
        warn("something the command started still holds its output, which ends here")
    return status if status >= 0 else 128 - status


def _holds_terminal() -> bool:
    """Return whether we are the foreground of a terminal, whose keys signal the child directly."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@contextmanager
def _signals(*, shared: bool) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Forward signals to the child while inside; yield where to put the child."""
    children: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if not children:
            early.append(number)
        else:
            _pass_on(children[0], number, shared=shared)

    class _Slot(list[subprocess.Popen[bytes]]):
        """Delivers what arrived between the handlers and the child."""

        def append(self, child: subprocess.Popen[bytes]) -> None:
            children.append(child)
            for number in early:
                _pass_on(child, number, shared=shared)

    # A signal that our parent ignores (nohup, a background job) stays ignored, also in the child.
    heard = [number for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, forward) for number in heard}
    try:
        yield _Slot()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass_on(child: subprocess.Popen[bytes], number: int, *, shared: bool) -> None:
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError, PermissionError):
        if not shared:
            os.killpg(child.pid, number)
        elif number not in (signal.SIGINT, signal.SIGQUIT):
            # The terminal has sent these two to the whole foreground already.
            child.send_signal(number)
