"""A warm process from which trials are forked: `python -m tests.faults.nursery SCRATCH`.

Importing everything and preparing a folder costs more than a trial. It reads one request
a line, a sweep, and answers with one line of outcomes. Each trial has a process and a
copy of the prepared folder of its own; two run at a time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NoReturn

from tests.attacks.remains import remains
from tests.faults.invariants import assert_sound
from tests.faults.preparation import prepare
from tests.faults.victims import Blow, Point, Told, can_trace, meet, points_of

_AT_ONCE: Final = 2
_SECONDS: Final = 240


@dataclass(frozen=True)
class Sweep:
    """A request: `fault` at every durable call of `operation`."""

    operation: str
    fault: str
    traced: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of one trial; `wrong` is what did not hold."""

    point: Point
    told: Told
    wrong: str | None


def sweep(scratch: Path, asked: Sweep) -> list[Outcome]:
    """Run every trial of a sweep, in the order of the calls."""
    prepared = _prepared(scratch, asked.operation)
    if not prepared.exists():
        # The parts behind a service are warm too, from then on.
        asyncio.run(prepare(prepared, asked.operation))
        gc.freeze()
    before = remains(prepared / "data")
    recording = _copied(prepared, scratch / f"{asked.operation}-recording")
    points = points_of(recording, asked.operation, traced=asked.traced)
    shutil.rmtree(recording)
    blows = [Blow(point, asked.fault, asked.traced) for point in points]
    outcomes = _all(prepared, asked.operation, blows)
    assert remains(prepared / "data") == before, "something was written into a published object"
    return outcomes


def _all(prepared: Path, operation: str, blows: Sequence[Blow]) -> list[Outcome]:
    running: set[int] = set()
    folders = []
    for blow in blows:
        if len(running) == _AT_ONCE:
            running.discard(os.wait()[0])
        name = f"{operation}-{blow.fault}-{blow.point.call}-{blow.point.number}"
        folders.append(prepared.with_name(name))
        running.add(_forked(prepared, operation, blow, folders[-1]))
    while running:
        running.discard(os.wait()[0])
    return [_outcome(blow, folder.with_suffix(".json")) for blow, folder in zip(blows, folders, strict=True)]


def _prepared(scratch: Path, operation: str) -> Path:
    return scratch / (f"prepared-{operation}" if operation in {"join", "collect"} else "prepared")


def _copied(prepared: Path, folder: Path) -> Path:
    """The prepared folder again; its objects are the same files, because nothing may write to them."""
    data = prepared / "data"
    shutil.copytree(prepared, folder, ignore=lambda at, _: ["objects"] if at == str(data) else [])
    shutil.copytree(data / "objects", folder / "data" / "objects", copy_function=os.link)
    return folder


def _forked(prepared: Path, operation: str, blow: Blow, folder: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(_SECONDS)
            _try(_copied(prepared, folder), operation, blow)
        finally:
            os._exit(1)
    return child


def _try(folder: Path, operation: str, blow: Blow) -> NoReturn:
    told, wrong = Told(0, (), "", struck=False), None
    try:
        told = meet(folder, operation, blow)
        asyncio.run(assert_sound(folder, operation, told.said))
    except BaseException:  # whatever it was, it is told
        wrong = traceback.format_exc()
    else:
        shutil.rmtree(folder)
    folder.with_suffix(".json").write_text(json.dumps({"told": asdict(told), "wrong": wrong}))
    os._exit(0)


def _outcome(blow: Blow, path: Path) -> Outcome:
    if not path.exists():
        return Outcome(blow.point, Told(0, (), "", struck=False), "the trial died, or took too long")
    found = json.loads(path.read_text())
    path.unlink()
    return Outcome(blow.point, Told(**found["told"]), found["wrong"])


def main(scratch: Path) -> None:
    """Say whether calls can be traced, answer requests until there are none."""
    print(json.dumps({"traced": can_trace()}), flush=True)
    for line in sys.stdin:
        outcomes = sweep(scratch, Sweep(**json.loads(line)))
        print(json.dumps([asdict(one) for one in outcomes]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
