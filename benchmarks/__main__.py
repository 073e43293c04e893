"""`python -m benchmarks [NAME…]`: measure all or some; all of them write `docs/benchmarks.md`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks import places, report
from benchmarks.results import Result
from benchmarks.rounds import Scale

NAMES = (
    "capture",
    "statements",
    "startup",
    "wrap",
    "records",
    "replicas",
    "growth",
    "reindexing",
    "log",
    "checkout",
    "packing",
    "transfer",
    "small_files",
    "memory",
)
"""The modules, in the order of the page; each has `measure(scale)`."""


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=Scale.__dataclass_fields__["rounds"].default)
    parser.add_argument("--directory", type=Path, default=places.scratch(), help="where to write")
    args = parser.parse_args(arguments)
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    results = measure(args.names or NAMES, Scale(args.directory, rounds=args.rounds))
    if not args.names:
        report.PAGE.write_text(report.page(results, command="make bench"))
    return 0 if all(result.met for result in results) else 1


def measure(names: tuple[str, ...] | list[str], scale: Scale) -> list[Result]:
    """Measure `names` one after the other, showing each result as it comes."""
    results: list[Result] = []
    for name in names:
        for result in importlib.import_module(f"benchmarks.{name}").measure(scale):
            print(report.line(result), flush=True)
            results.append(result)
    return results


if __name__ == "__main__":
    sys.exit(main())
