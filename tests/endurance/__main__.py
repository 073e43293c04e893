"""`python -m tests.endurance`: kill processes and stop PostgreSQL for a while, and write the table of it.

Writes into docs/reliability.md, and changes nothing there where anything was lost or done twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests import tables
from tests.endurance.disasters import Toll, endured

COMMAND: Final = "python -m tests.endurance"
_HEAD: Final = ("what", "count")


def main(arguments: list[str]) -> int:
    """Write the table."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=15, help="over which they are spread, about")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        toll = endured(
            Path(folder), kills=given.kills, stops=given.stops, minutes=given.minutes, seed=given.seed
        )
    print(toll)
    if not given.check:
        tables.write(COMMAND, tables.table(_HEAD, _rows(toll)))
    return 0


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
