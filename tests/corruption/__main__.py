"""`python -m tests.corruption`: damage many blobs, and write what came of it into docs/reliability.md.

It takes some minutes, and changes nothing where anything was served wrong, missed or left damaged.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests import tables
from tests.corruption.places import in_a_folder
from tests.corruption.trial import Outcome, Trial

COMMAND: Final = "python -m tests.corruption"
_HEAD: Final = (
    "damage",
    "blobs",
    "served wrong",
    "refused to readers",
    "found by the scrub",
    "mended by sending them again",
    "healed from the second store",
)


def main() -> int:
    """Write the table; return 1 where not everything came out as it must."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("--blobs", type=int, default=10_000)
    blobs = parser.parse_args().blobs
    with tempfile.TemporaryDirectory() as folder:
        outcomes, wrong = asyncio.run(_tried(Path(folder), blobs))
    for said in wrong:
        print(said, file=sys.stderr)
    if wrong:
        return 1
    tables.write(COMMAND, tables.table(_HEAD, _rows(outcomes, blobs)))
    return 0


async def _tried(folder: Path, blobs: int) -> tuple[dict[str, Outcome], list[str]]:
    async with in_a_folder(folder, blobs=blobs) as trial:
        outcomes = await trial.run()
        return outcomes, shortfalls(trial, outcomes)


def shortfalls(trial: Trial, outcomes: Mapping[str, Outcome]) -> list[str]:
    """What did not come out as it must, in words."""
    told = [
        f"{way}: {one}"
        for way, one in outcomes.items()
        if (one.refused, one.found) != (one.objects, one.objects)
        or (one.mended, one.mended + one.healed) != (one.resent, one.objects)
    ]
    counted = {name: getattr(trial, name) for name in ("served_wrong", "false_alarms", "left")}
    return told + [f"{name}: {count}" for name, count in counted.items() if count]


def _rows(outcomes: Mapping[str, Outcome], blobs: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for way, one in outcomes.items():
        healed = f"{one.healed} of {one.objects - one.resent}"
        rows.append([way, one.objects, 0, one.refused, one.found, f"{one.mended} of {one.resent}", healed])
    total = sum(one.objects for one in outcomes.values())
    rows.append([f"none: the others of {blobs:,}", blobs - total, 0, 0, 0, "", ""])
    return rows


if __name__ == "__main__":
    sys.exit(main())
