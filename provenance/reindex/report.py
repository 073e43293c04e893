"""What a reindex found: counted, doubted, left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from artifacts.layout import Key

MAX_LISTED: Final = 10_000
"""Objects that a report lists of each sort; all of them are counted."""


@dataclass(frozen=True, slots=True, order=True)
class Doubted:
    """An object, or a line of one, that is left out of the index, and why."""

    key: str
    reason: str


@dataclass(slots=True)
class Report:
    """Counts and lists, filled in as a reindex goes on."""

    counts: Counter[str] = field(default_factory=Counter)
    quarantined: list[Doubted] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    """Records that wait for the signer: `project/step`."""
    held: list[str] = field(default_factory=list)
    """Records that nobody may sign, since a statement by an unknown key is about them."""
    without_record: list[str] = field(default_factory=list)
    """Statements by a trusted key whose record is nowhere."""
    unreceipted: list[str] = field(default_factory=list)
    """Blobs that are served to nobody, since nobody vouches for them."""

    def doubt(self, key: Key | str, reason: str) -> None:
        """Leave `key` out, for `reason`."""
        self.counts["quarantined"] += 1
        if len(self.quarantined) < MAX_LISTED:
            self.quarantined.append(Doubted(str(key), reason))

    def note(self, listed: list[str], what: str, name: str) -> None:
        """Count `name` as one more `what`, and list it."""
        self.counts[what] += 1
        if len(listed) < MAX_LISTED:
            listed.append(name)

    @property
    def clean(self) -> bool:
        """Whether everything in the bucket is what this service wrote there."""
        return not (self.quarantined or self.held or self.without_record)


Told = Callable[[str, int], None]
"""Hears what is being read, and how many of it are done."""
