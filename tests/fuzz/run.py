"""Fuzz one parser: `python -m tests.fuzz.run NAME --seconds N`.

With atheris installed its coverage-guided engine runs; otherwise the built-in mutation
loop. Either begins with the checked-in seeds and stops at the first finding.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import sys

from tests.fuzz import mutation
from tests.fuzz.harnesses import HARNESSES, SEEDS, Harness


def _with_atheris(harness: Harness, seconds: int) -> None:
    atheris = importlib.import_module("atheris")  # optional
    atheris.instrument_all()
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", str(SEEDS / harness.name)],
        lambda data: mutation.attempt(harness, data),
    )
    atheris.Fuzz()


def main(arguments: list[str]) -> int:
    """Fuzz as asked; return 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(HARNESSES))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    given = parser.parse_args(arguments)
    harness = HARNESSES[given.name]
    if importlib.util.find_spec("atheris") is not None:
        _with_atheris(harness, given.seconds)
        return 0
    try:
        tried = mutation.run(harness, seconds=given.seconds, seed=given.seed)
    except mutation.Finding as finding:
        print(f"{finding}\ncause: {finding.__cause__!r}\nseed: {given.seed}", file=sys.stderr)
        return 1
    print(f"{harness.name}: {tried} inputs, nothing found (seed {given.seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
