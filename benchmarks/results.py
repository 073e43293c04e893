"""What a benchmark found, and whether that is what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Unit = Literal["ms", "µs", "/s", "MiB", "MiB/s", "bytes"]


@dataclass(frozen=True, slots=True)
class Measured:
    """The samples of one side, one a round."""

    label: str
    samples: tuple[float, ...]
    unit: Unit

    @property
    def median(self) -> float:
        """The value that stands for all rounds."""
        return median(self.samples)

    def __str__(self) -> str:
        """The median, and the range in brackets."""
        return f"{plain(self.median)} {self.unit} ({plain(min(self.samples))} to {plain(max(self.samples))})"


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise: a limit that the ratio of medians, or one of our own values, has to keep."""

    limit: float
    at_most: bool
    own: bool = False
    """Whether our own median is meant, not its ratio to the peer's."""

    def met(self, result: Result) -> bool:
        """Whether `result` keeps it."""
        value = result.ours.median if self.own else result.ratio
        return value <= self.limit if self.at_most else value >= self.limit

    def written(self, result: Result) -> str:
        """The promise in signs."""
        sign = "≤" if self.at_most else "≥"
        return (
            f"{sign} {plain(self.limit)} {result.ours.unit}" if self.own else f"{sign} {plain(self.limit)} x"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    name: str
    work: str
    ours: Measured
    peer: Measured
    place: str
    bars: Sequence[Bar] = ()
    notes: Sequence[str] = ()

    @property
    def ratio(self) -> float:
        """Our median over the peer's."""
        return self.ours.median / self.peer.median

    @property
    def met(self) -> bool:
        """Whether every bar is kept."""
        return all(bar.met(self) for bar in self.bars)

    @property
    def verdict(self) -> str:
        """The bars, and whether they are kept."""
        if not self.bars:
            return "no bar"
        promised = ", ".join(bar.written(self) for bar in self.bars)
        return f"{promised}: {'met' if self.met else '**missed**'}"


def at_most(ratio: float) -> Bar:
    """Our median is no more than `ratio` times the peer's."""
    return Bar(ratio, at_most=True)


def at_least(ratio: float) -> Bar:
    """Our median is no less than `ratio` times the peer's."""
    return Bar(ratio, at_most=False)


def plain(value: float) -> str:
    """Three digits that count, and no more."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
