"""`python -m tests.interface`: ask every operation of the interface thousands of times; say what was answered."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.interface.running import run_both


def main(arguments: list[str]) -> int:
    """Return 1 where an answer was a 5xx, or not as the document says."""
    parser = argparse.ArgumentParser(prog="python -m tests.interface", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=300, help="cases of each operation, in each of two runs"
    )
    parser.add_argument("--seed", type=int, default=20261122)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        runs, answered = run_both(Path(folder), examples=given.examples, seed=given.seed)
    print("\n".join(run.told for run in runs))
    print(
        f"{answered.total():,} requests: "
        + ", ".join(f"{n:,} times {s}" for s, n in sorted(answered.items()))
    )
    return int(any(run.status for run in runs) or any(status >= 500 for status in answered))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
