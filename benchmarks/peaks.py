"""The most memory that all processes of a command had at a time."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_EVERY = 0.02

# What Linux keeps of a parent's peak through exec is that of this small one, and not ours.
_LAUNCHER = """
import os, sys
pid = os.fork()
if not pid:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss)
"""


def peak(
    asked: Sequence[str], env: Mapping[str, str], *, expected: int = 0, cwd: Path | None = None
) -> float:
    """Run a command and return the most memory it took, in MiB.

    That is the larger of two: what its largest process had resident, which the kernel knows
    exactly, and the proportional share of all its processes together, looked at fifty times a
    second: pages that several of them have count once.

    Raises:
        RuntimeError: It ended with another status than `expected`.
    """
    launched = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *asked]
    together = 0
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            launched, env=dict(env), cwd=cwd, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as running,
    ):
        while running.poll() is None:
            together = max(together, sum(map(_share, _below(running.pid))))
            time.sleep(_EVERY)
        assert running.stdout is not None
        status, largest = map(int, running.stdout.read().split())
        if status != expected:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(asked)} ended with {status}: {errors.read().decode()}")
    return max(together, largest) / 1024


def _below(pid: int) -> Iterator[int]:
    """The processes that `pid` and those below it have started."""
    with suppress(OSError):  # it may end at any moment
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                yield child
                yield from _below(child)


def _share(pid: int) -> int:
    """The proportional share of a process in kB; 0 once it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
