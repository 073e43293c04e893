"""A kill at each system call that makes something durable (threats S27)."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.injection import Told, calls, operate, traces
from tests.faults.invariants import assert_sound
from tests.faults.operations import OPERATIONS

# Every one of the first calls of a kind, then one in `STRIDE`: SQLite writes a page a call.
DENSE = int(os.environ.get("CUSTODY_DENSE_KILLS", "2"))
STRIDE = 12
_MOST = 200


def numbers() -> Iterator[int]:
    yield from range(1, DENSE + 1)
    yield from range(DENSE + 1, _MOST, STRIDE)


def _sweep(prepared: Path, scratch: Path, operation: str, call: str) -> list[tuple[int, Told, Path]]:
    """Kill at ever later calls until the operation ends before it is reached."""
    found = []
    for number in numbers():
        folder = scratch / f"{call}-{number}"
        shutil.copytree(prepared, folder)
        told = operate(folder, operation, call=call, number=number)
        found.append((number, told, folder))
        if not told.died:
            assert told.status == 0, told.errors
            assert told.acked
            return found
    raise AssertionError(f"{operation} makes more than {_MOST} calls of {call}")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("operation", OPERATIONS[: 3 if DENSE < 3 else 4])
def test_a_kill_at_any_durable_call_leaves_garbage_but_never_a_lie(
    prepared: Path, tmp_path: Path, operation: str
) -> None:
    points: Counter[str] = Counter()
    with ThreadPoolExecutor(2) as pool:
        sweeps = pool.map(lambda call: (call, _sweep(prepared, tmp_path, operation, call)), calls())
        for call, found in sweeps:
            for _, told, folder in found:
                asyncio.run(assert_sound(folder, operation, acked=told.acked))
                points[call] += told.died
    print(f"{operation}: {sum(points.values())} kills, {dict(points)}")
    assert sum(points.values()) >= (12 if traces() else 4)
