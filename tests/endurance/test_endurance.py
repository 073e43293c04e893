"""The long runs, in short: `python -m tests.endurance` does them in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.endurance.disasters import endured

KILLS, STOPS = 10, 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_and_stopped_databases_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    toll = endured(tmp_path, kills=KILLS, stops=STOPS, minutes=0.3, seed=20261122)
    assert (toll.killed.total(), toll.stops) == (KILLS, STOPS)
    assert toll.steps > 0
    assert toll.blobs > 0
