"""P12: what the command costs before it does anything."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_most
from benchmarks.rounds import Child, Scale, interleaved


def command() -> str:
    """The `custody` of the environment that runs the benchmark."""
    return str(Path(sys.executable).with_name("custody"))


def measure(scale: Scale) -> list[Result]:
    """Print the help; the peer is the interpreter doing nothing."""
    with tempfile.TemporaryDirectory(prefix="startup-", dir=scale.directory) as at:
        here = Path(at)
        ours, peer = Child([command(), "--help"], here), Child([sys.executable, "-c", "pass"], here)
        mine, bare = interleaved(ours, peer, rounds=scale.rounds * 5, factor=1000)
    return [
        Result(
            name="P12",
            work="start-up",
            ours=Measured("custody --help", mine, "ms"),
            peer=Measured("python -c pass", bare, "ms"),
            place=file_system(Path(sys.executable)),
            bars=[at_most(2.5)],
        )
    ]
