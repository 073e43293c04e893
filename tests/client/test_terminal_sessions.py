"""In the foreground of a real terminal: the keyboard, the progress bar, colours."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.conftest import Command

# Makes descriptor 0 the controlling terminal, as a login shell has it.
ADOPT = textwrap.dedent(
    """
    import fcntl, os, sys, termios
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
    """
)
BAR = textwrap.dedent(
    """
    import time
    from custody import progress
    progress.PATIENCE = 0.05
    with progress.bar("hashing") as advance:
        for done in range(6):
            if advance is not None:
                advance(done, 5)
            time.sleep(0.05)
    """
)


class Screen:
    """A terminal that remembers what was written to it."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = b""

    def start(self, *command: str, place: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", ADOPT, *command],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=place,
            env=environment,
        )

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 30
        while text not in self.seen and time.monotonic() < deadline:
            self.read(0.1)
        assert text in self.seen, self.seen

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.seen += os.read(self.master, 65536)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)


@pytest.fixture
def screen() -> Iterator[Screen]:
    found = Screen()
    yield found
    os.close(found.master)
    os.close(found.slave)


def test_the_command_may_read_the_keyboard(screen: Screen, offline: Command, place: Path) -> None:
    command = ["custody", "run", "--", "sh", "-c", "echo ready; read word; echo got $word; exit 3"]
    child = screen.start(*command, place=place, environment=offline.environment())
    screen.wait_for(b"ready")
    screen.type(b"hello\n")
    screen.wait_for(b"got hello")
    assert child.wait(timeout=30) == 3


def test_control_c_reaches_the_command_once(screen: Screen, offline: Command, place: Path) -> None:
    script = "trap 'echo caught' INT; echo ready; read word; echo after; exit 5"
    child = screen.start(
        "custody", "run", "--", "sh", "-c", script, place=place, environment=offline.environment()
    )
    screen.wait_for(b"ready")
    screen.type(b"\x03")
    screen.wait_for(b"caught")
    screen.read(0.3)
    screen.type(b"\n")
    screen.wait_for(b"after")
    assert child.wait(timeout=30) == 5
    assert screen.seen.count(b"caught") == 1


def test_long_work_shows_a_bar_on_a_terminal(screen: Screen, offline: Command, place: Path) -> None:
    environment = {**offline.environment(), "TERM": "xterm"}
    child = screen.start(sys.executable, "-c", BAR, place=place, environment=environment)
    screen.wait_for(b"hashing")
    assert child.wait(timeout=30) == 0


def test_no_bar_is_shown_where_nobody_watches(offline: Command, place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BAR],
        cwd=place,
        env=offline.environment(),
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout + done.stderr == b""


def test_errors_are_coloured_on_a_terminal_unless_declined(
    screen: Screen, offline: Command, place: Path
) -> None:
    environment = {**offline.environment(), "TERM": "xterm"}
    child = screen.start("custody", "digest", "missing", place=place, environment=environment)
    screen.wait_for(b"missing: no such file")
    assert child.wait(timeout=30) == 1
    assert b"\x1b[31mcustody:" in screen.seen
    screen.seen = b""
    child = screen.start(
        "custody", "digest", "missing", place=place, environment={**environment, "NO_COLOR": "1"}
    )
    screen.wait_for(b"missing: no such file")
    assert child.wait(timeout=30) == 1
    assert b"\x1b[" not in screen.seen
