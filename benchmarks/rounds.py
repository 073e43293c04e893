"""Measuring two sides in turns, so that whatever else the machine does meets both."""

from __future__ import annotations

import gc
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Side = Callable[[], float]
"""One sample: a duration in seconds, or a rate."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much work a benchmark takes on, and where it may write."""

    directory: Path
    rounds: int = 5
    files: int = 10_000
    folders: int = 2_000
    commits: int = 3_000
    repeats: int = 3_000
    records: int = 5_000
    megabytes: int = 512
    seconds: float = 3.0
    connections: int = 32
    real: bool = True
    """Whether servers of others are started where they are installed."""


@dataclass(slots=True)
class Child:
    """Runs one command again and again."""

    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __call__(self) -> float:
        """Run it once; return how long it took from start to end.

        Raises:
            RuntimeError: it did not succeed.
        """
        began = time.perf_counter()
        done = subprocess.run(
            self.command,
            cwd=self.cwd,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        took = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(f"{self.command} ended with {done.returncode}")
        return took


def interleaved(
    ours: Side, peer: Side, *, rounds: int, factor: float = 1.0
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Take `rounds` samples of each side in turns, the first of each side unmeasured."""
    one, other = in_turns([ours, peer], rounds=rounds, factor=factor)
    return one, other


def in_turns(sides: Sequence[Side], *, rounds: int, factor: float = 1.0) -> list[tuple[float, ...]]:
    """Take `rounds` samples of every side in turns, the first of each side unmeasured."""
    for side in sides:
        side()
    kept: list[list[float]] = [[] for _ in sides]
    for turn in range(rounds):
        # Who goes first alternates: what one leaves in caches serves the other as often.
        for side, samples in list(zip(sides, kept, strict=True))[:: 1 if turn % 2 == 0 else -1]:
            gc.collect()
            samples.append(side() * factor)
    return [tuple(samples) for samples in kept]


def timed(call: Callable[[], object], *, repeats: int = 1) -> float:
    """How long one of `repeats` calls took on average, in seconds."""
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - began) / repeats
