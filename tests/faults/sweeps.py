"""Asking the warm process of `tests.faults.nursery` for sweeps, and judging what came of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from artifacts.storage.durable import EXIT_IO_ERROR
from tests.faults.invariants import ACKED
from tests.faults.nursery import Outcome, Sweep
from tests.faults.victims import DIED, KILL, Point, Told
from tests.running_service import ROOT

REFUSED: Final = "refused unavailable"
ENDED: Final = "the process ended"
MISSED: Final = 1 / 10
"""The share of trials whose run may make a call less than the one that was recorded; usually none."""


class Nursery:
    """A process from which trials are forked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.traced = bool(self._answer()["traced"])
        """Whether system calls can be traced here, those of SQLite included."""

    def _answer(self) -> dict[str, bool]:
        found = json.loads(self._line())
        assert isinstance(found, dict)
        return found

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the nursery died"
        return line

    def sweep(self, operation: str, fault: str, *, traced: bool = True) -> list[Outcome]:
        """Let `operation` meet `fault` at each of its durable calls; traced, where that can be done."""
        assert self._process.stdin is not None
        asked = Sweep(operation, fault, traced and self.traced)
        self._process.stdin.write(f"{json.dumps(asdict(asked))}\n")
        self._process.stdin.flush()
        return [
            Outcome(Point(**one["point"]), Told(**one["told"]), one["wrong"])
            for one in json.loads(self._line())
        ]


@contextmanager
def a_nursery(scratch: Path) -> Iterator[Nursery]:
    """A warm process that works in `scratch`."""
    # What it runs is covered by other tests; measuring that again doubles the time.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.nursery", str(scratch)],
        cwd=ROOT,
        env={**env, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Nursery(process)
        except BaseException:
            process.kill()
            raise


def require_traced(nursery: Nursery) -> None:
    """Say, or fail where `CI` is set, that nothing but the calls of Python was met."""
    if nursery.traced:
        return
    less = "no process may be traced here (strace, ptrace): only the calls that Python makes were met"
    if "CI" in os.environ:
        pytest.fail(less)
    pytest.skip(f"WARNING: {less}")


def judged(outcomes: Sequence[Outcome], fault: str) -> Counter[str]:
    """Assert that each trial ended as it may, and count how: by call when killed, else by end."""
    counted: Counter[str] = Counter()
    missed = sum(not one.told.struck for one in outcomes)
    assert missed <= len(outcomes) * MISSED, f"{missed} of {len(outcomes)} trials met no fault"
    for one in outcomes:
        assert one.wrong is None, f"{fault} at {one.point}: {one.told}\n{one.wrong}"
        if not one.told.struck:  # a run may make a call less than the one that was recorded
            assert ACKED in one.told.said, (one.point, one.told)
            continue
        counted[one.point.call if fault == KILL else _end(one)] += 1
        if fault == KILL:
            assert one.told.status == DIED, (one.point, one.told)
    return counted


def _end(one: Outcome) -> str:
    told, acked = one.told, ACKED in one.told.said
    if one.point.call == "fsync" and not told.within_index:
        # After a failed fsync nobody knows what is on the disk.
        assert (told.status, acked) == (EXIT_IO_ERROR, False), (one.point, told)
        assert "fsync failed" in told.errors
        return ENDED
    assert told.status == 0, (one.point, told)
    if acked:
        # SQLite does not look at what forcing its directory to the disk comes to.
        assert told.within_index, (one.point, told)
        assert one.point.call in {"fsync", "fdatasync"}, (one.point, told)
        return ACKED
    assert REFUSED in told.said, (one.point, told)
    return REFUSED
