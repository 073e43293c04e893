"""`python -m tests.endurance`: kill processes and stop PostgreSQL for a while, and write the table of it.

With `--soak` nothing is killed: many operations are done and bytes collected beside them for a
while. Each writes its table into docs/reliability.md, and changes nothing there where anything
was lost, done twice or answered with a 5xx.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests import tables
from tests.endurance.disasters import Toll, endured
from tests.endurance.soak import Plan, rows, soaked

COMMAND: Final = "python -m tests.endurance"
SOAK: Final = f"{COMMAND} --soak"
_HEAD: Final = ("what", "count")
_OPERATIONS_A_COLLECTION: Final = 200


def main(arguments: list[str]) -> int:
    """Write one of the tables."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--soak", action="store_true", help="kill nothing, and collect all the time")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--operations", type=int, default=100_000, help="of a soak")
    parser.add_argument("--minutes", type=float, help="about how long; 15, and 20 of a soak")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    command, counted = (SOAK, _soak(given)) if given.soak else (COMMAND, _disasters(given))
    text = tables.table(_HEAD, counted)
    print(text)
    if not given.check:
        tables.write(command, text)
    return 0


def _soak(given: argparse.Namespace) -> list[tuple[str, str]]:
    collections = given.operations // _OPERATIONS_A_COLLECTION
    plan = Plan(given.operations, collections, given.minutes or 20, given.seed)
    with tempfile.TemporaryDirectory() as folder:
        return rows(soaked(Path(folder), plan))


def _disasters(given: argparse.Namespace) -> list[tuple[str, str]]:
    minutes = given.minutes or 15
    with tempfile.TemporaryDirectory() as folder:
        return _rows(
            endured(Path(folder), kills=given.kills, stops=given.stops, minutes=minutes, seed=given.seed)
        )


def _rows(toll: Toll) -> list[tuple[str, str]]:
    killed = ", ".join(f"{count} {name}" for name, count in sorted(toll.killed.items()))
    return [
        ("`kill -9`", f"{toll.killed.total()} ({killed})"),
        ("PostgreSQL stopped at once, as by a power cut", f"{toll.stops}"),
        ("minutes", f"{toll.minutes:.0f}"),
        ("requests sent again by four clients", f"{toll.retries:,}"),
        ("steps acknowledged; all are there, with one statement each", f"{toll.steps:,}"),
        ("blobs acknowledged; all are there and hash to their digest", f"{toll.blobs:,}"),
        ("stored blobs that nothing vouches for", f"{toll.orphans}"),
        ("uploads cut off, in `staging/` until they are swept", f"{toll.staged}"),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
