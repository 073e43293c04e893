"""Making the n-th system call of a child process fail, or the last thing it does.

`strace` counts each kind of call for each thread. Where it is missing or ptrace is not
allowed, the same calls are counted where Python makes them; those of SQLite are then
out of reach.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.running_service import ROOT

DIED: Final = -signal.SIGKILL
_RUNNER: Final = """
import errno, os, runpy, signal, sys
name, number, fault = sys.argv[1], int(sys.argv[2]), sys.argv[3]
real, count = getattr(os, name), [0]
def counting(*args, **kwargs):
    count[0] += 1
    if count[0] == number:
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))
    return real(*args, **kwargs)
setattr(os, name, counting)
sys.argv = sys.argv[4:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_PYTHON_NAMES: Final = {
    "linkat": "link",
    "unlinkat": "unlink",
    "fsync": "fsync",
    "write": "write",
    "mkdirat": "mkdir",
}


@dataclass(frozen=True)
class Told:
    """How a child ended, and what it had said by then."""

    status: int
    said: tuple[str, ...]
    errors: str

    @property
    def acked(self) -> bool:
        return "acked" in self.said

    @property
    def died(self) -> bool:
        return self.status in {DIED, 128 + signal.SIGKILL}


@cache
def traces() -> bool:
    """Whether strace can be used here."""
    found = shutil.which("strace")
    if found is None:
        return False
    tried = subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


def calls() -> tuple[str, ...]:
    """The calls that can be counted here."""
    return (*_PYTHON_NAMES, "pwrite64", "fdatasync") if traces() else tuple(_PYTHON_NAMES)


def operate(folder: Path, operation: str, *, call: str, number: int, fault: str = "kill") -> Told:
    """Run an operation of `tests.faults.operations` with a fault at the `number`-th `call`."""
    module = ["tests.faults.operations", str(folder), operation]
    if traces():
        what = "signal=SIGKILL" if fault == "kill" else f"error={fault}"
        inject = f"inject={call}:{what}:when={number}"
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
        command += [sys.executable, "-m", *module]
    else:
        command = [sys.executable, "-c", _RUNNER, _PYTHON_NAMES[call], str(number), fault, *module]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Told(ended.returncode, tuple(ended.stdout.decode().split("\n")), ended.stderr.decode())
