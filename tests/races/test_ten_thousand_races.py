"""Ten thousand races, half of them on each database, judged against what one caller at a time is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.races.arena import an_arena
from tests.races.running import assert_one_statement_each, hold_all, shares
from tests.running_service import ROOT

ROUNDS = int(os.environ.get("CUSTODY_RACES", "10000"))
SEED = 20261122


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whatever_races_everybody_is_told_what_one_after_the_other_would_be() -> None:
    # In processes of their own, and not measured for coverage: that would take twice as long.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-m", "tests.races", "--check", "--rounds", str(ROUNDS), "--seed", str(SEED)]
    done = subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{ROUNDS} rounds, all explained\n"


@pytest.mark.both_databases
async def test_a_few_rounds_of_every_kind_are_explained(tmp_path: Path, index: str | None) -> None:
    async with an_arena(tmp_path, index, seed=SEED) as arena:
        outcomes = await hold_all(arena, 50)
        assert [(one.contest, one.rounds) for one in outcomes] == list(shares(50).items())
        assert [story for one in outcomes for story in one.unexplained] == []
        assert_one_statement_each(arena)
