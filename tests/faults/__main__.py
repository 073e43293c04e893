"""`python -m tests.faults`: run every sweep and write its table into docs/reliability.md.

It takes some minutes, and changes nothing where a trial goes wrong.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests import tables
from tests.faults.invariants import ACKED
from tests.faults.operations import DESCRIBED, OPERATIONS
from tests.faults.sweeps import ENDED, REFUSED, Nursery, a_nursery, judged
from tests.faults.victims import DURABLE, KILL

COMMAND: Final = "python -m tests.faults"
ERRORS: Final = ("EIO", "ENOSPC")
_ENDS: Final = (REFUSED, ENDED, ACKED)
_HEAD: Final = (
    "operation",
    "killed at",
    "of these at",
    *(f"{error}: refused, process ended, done all the same" for error in ERRORS),
)


def main() -> int:
    """Write the table; return 1 where calls cannot be traced."""
    with tempfile.TemporaryDirectory() as scratch, a_nursery(Path(scratch)) as nursery:
        if not nursery.traced:
            print("strace is needed for the table", file=sys.stderr)
            return 1
        rows = [_swept(nursery, operation) for operation in OPERATIONS]
    total = sum((row for row in rows), Counter[str]())
    named = [*DESCRIBED.values(), "all"]
    tables.write(COMMAND, tables.table(_HEAD, map(_cells, named, [*rows, total])))
    return 0


def _swept(nursery: Nursery, operation: str) -> Counter[str]:
    """What came of every fault at every call of `operation`, in one count."""
    counted = judged(nursery.sweep(operation, KILL), KILL)
    for error in ERRORS:
        ends = judged(nursery.sweep(operation, error), error)
        counted.update({f"{error} {end}": count for end, count in ends.items()})
    print(f"{operation}: {dict(counted)}", file=sys.stderr)
    return counted


def _cells(name: str, counted: Counter[str]) -> list[object]:
    kills = [counted[call] for call in DURABLE]
    calls = ", ".join(f"{counted[call]} `{call}`" for call in DURABLE if counted[call])
    ends = [", ".join(str(counted[f"{error} {end}"]) for end in _ENDS) for error in ERRORS]
    return [name, sum(kills), calls, *ends]


if __name__ == "__main__":
    sys.exit(main())
