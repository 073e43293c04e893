"""A kill at each system call that makes something durable (threats S27)."""

from __future__ import annotations

import pytest

from tests.faults.operations import OPERATIONS
from tests.faults.sweeps import Nursery, judged, require_traced
from tests.faults.victims import KILL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LEAST = {
    "put": 40,
    "resumable": 30,
    "resumable_small": 50,
    "join": 50,
    "tree": 50,
    "check": 50,
    "read_back": 50,
    "finish": 25,
    "attest": 35,
    "collect": 60,
}
"""Fewer kills than this, and the sweep does not see the calls any more."""
_LEAST_IN_PYTHON = 6


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_kill_at_any_durable_call_leaves_garbage_but_never_a_lie(nursery: Nursery, operation: str) -> None:
    kills = judged(nursery.sweep(operation, KILL), KILL)
    print(f"{operation}: {kills.total()} kills, {dict(kills)}")
    assert kills.total() >= (LEAST[operation] if nursery.traced else _LEAST_IN_PYTHON)
    require_traced(nursery)


@pytest.mark.parametrize("operation", ["put", "tree", "finish"])
def test_without_ptrace_the_calls_of_python_are_counted_and_killed_at(
    nursery: Nursery, operation: str
) -> None:
    kills = judged(nursery.sweep(operation, KILL, traced=False), KILL)
    assert kills.total() >= _LEAST_IN_PYTHON
    assert {"write", "fsync", "linkat", "unlinkat"} <= kills.keys()
