"""What a scrub found: counted, and listed up to a bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from artifacts.queries.scrubbing import Dependents

MAX_LISTED: Final = 10_000
"""Damaged objects that a report lists; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what was written, or is not there."""

    key: str
    kind: str
    project: str | None
    digest: str | None
    reason: str
    dependents: Dependents
    healed: str | None = None
    """How it was mended, if it was."""
    why_not: str | None = None
    """What became of the attempt to mend it, if there was one."""

    @property
    def members(self) -> dict[str, Any]:  # Any: JSON
        """As a report in JSON has it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(slots=True)
class Report:
    """Counts and lists, filled in as a scrub goes on."""

    counts: Counter[str] = field(default_factory=Counter)
    """Objects looked at, by kind."""
    bytes: int = 0
    damaged: int = 0
    healed: int = 0
    damages: list[Damage] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    """Names that nobody here gives; what lies there counts for nothing."""
    strange: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing damaged remains."""
        return self.damaged == self.healed

    def add(self, damage: Damage) -> None:
        """Note a damaged object."""
        self.damaged += 1
        self.healed += damage.healed is not None
        if len(self.damages) < MAX_LISTED:
            self.damages.append(damage)

    def note_stranger(self, key: str) -> None:
        """Note a name that nobody here gives."""
        self.strange += 1
        if len(self.strangers) < MAX_LISTED:
            self.strangers.append(key)

    @property
    def members(self) -> dict[str, Any]:  # Any: JSON
        """The report as JSON."""
        return {
            "clean": self.clean,
            "objects": sum(self.counts.values()),
            "kinds": dict(sorted(self.counts.items())),
            "bytes": self.bytes,
            "damaged": self.damaged,
            "healed": self.healed,
            "damages": [damage.members for damage in self.damages],
            "strange": self.strange,
            "strangers": self.strangers,
        }
