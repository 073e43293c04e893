"""The long runs, in short: `python -m tests.endurance` does them in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.endurance.disasters import endured
from tests.endurance.memory import MIB, Memory
from tests.endurance.soak import Plan, soaked

KILLS, STOPS = 10, 2
SOAK = Plan(operations=2000, collections=10, minutes=0.3, seed=20261122)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_and_stopped_databases_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    toll = endured(tmp_path, kills=KILLS, stops=STOPS, minutes=0.3, seed=20261122)
    assert (toll.killed.total(), toll.stops) == (KILLS, STOPS)
    assert toll.steps > 0
    assert toll.blobs > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_collections_beside_everything_else_lose_nothing_and_refuse_nobody(tmp_path: Path) -> None:
    seen = soaked(tmp_path, SOAK)
    assert seen.collections >= SOAK.collections
    assert seen.decided.total() > 0
    assert seen.read_after > len(seen.ledger.all()) > 0


def test_the_slope_of_memory_is_that_of_the_time_after_the_warm_up() -> None:
    memory = Memory()
    for minute in range(10):
        warming, growing = 50 * min(minute, 3), 2 * max(0, minute - 3)
        memory.note(minute, {"api": (100 + warming + growing) * MIB, "signer": 80 * MIB})
    assert memory.slope("api", since=3) == pytest.approx(2)
    assert memory.span("api", since=3) == (250, 262)
    assert memory.slope("signer", since=0) == pytest.approx(0)
