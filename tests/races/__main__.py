"""`python -m tests.races`: hold ten thousand races on both databases and write their table into docs/reliability.md.

It takes some minutes, and changes nothing where a round cannot be explained.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests import tables
from tests.races.contests import CONTESTS
from tests.races.running import Outcome, held_on

COMMAND: Final = "python -m tests.races"
DATABASES: Final = ("SQLite", "PostgreSQL")
_HEAD: Final = ("at once", "must hold", *(f"rounds on {name}" for name in DATABASES), "requests", "answers")


def main(arguments: list[str]) -> int:
    """Write the table; return 1 where something was told that no order explains."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--rounds", type=int, default=10_000, help="on both databases together")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    # Each database in a process of its own: they share nothing, and there are two cores at least.
    with ProcessPoolExecutor(len(DATABASES), mp_context=get_context("spawn")) as processes:
        started = [processes.submit(held_on, name, given.rounds // 2, given.seed) for name in DATABASES]
        held = [one.result() for one in started]
    strange = [story for outcomes in held for one in outcomes for story in one.unexplained]
    if strange:
        print("\n\n".join([*strange[:5], f"{len(strange)} rounds that no order explains"]), file=sys.stderr)
        return 1
    print(f"{sum(one.rounds for outcomes in held for one in outcomes)} rounds, all explained")
    if not given.check:
        tables.write(COMMAND, tables.table(_HEAD, map(_cells, *held)))
    return 0


def _cells(*held: Outcome) -> list[object]:
    statuses = sum((one.statuses for one in held[1:]), held[0].statuses.copy())
    answers = ", ".join(f"{count:,} times {status}" for status, count in sorted(statuses.items()))
    must = next(contest.must for contest in CONTESTS if contest.title == held[0].contest)
    requests = f"{sum(one.requests for one in held):,}"
    return [held[0].contest, must, *(f"{one.rounds:,}" for one in held), requests, answers]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
