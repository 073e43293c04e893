"""What goes, and why: the questions that a candidate must pass, and the count of what passed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from artifacts.queries.collecting import Candidate
from artifacts.queries.removals import Thing
from artifacts.removal import RULE, UNNAMED
from artifacts.retention import Retention, Rule

_LARGEST: Final = 20


@dataclass(frozen=True, slots=True)
class Going:
    """A thing that goes, and why."""

    thing: Thing
    size: int
    reason: str
    detail: str | None


@dataclass(slots=True)
class Collected:
    """What a collection decided to remove, or would have."""

    things: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """How many of a (project, kind, reason)."""
    bytes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    largest: list[Going] = field(default_factory=list)
    over_budget: dict[str, int] = field(default_factory=dict)
    """Bytes by which a project is over its budget still, because nothing else may go."""

    def add(self, going: Going) -> None:
        """Count one."""
        key = (going.thing.project, going.thing.kind, going.reason)
        self.things[key] += 1
        self.bytes[key] += going.size
        self.largest = sorted([*self.largest, going], key=lambda one: -one.size)[:_LARGEST]


@dataclass(frozen=True, slots=True)
class Judge:
    """Says of one thing after the other whether it may go."""

    retention: Retention
    now: int
    grace_ms: int
    open_since: int | None
    """When the oldest step began that is still open: what came since may yet be named by it."""
    claimed: frozenset[bytes]
    """Packs of trees that a worker is still to check."""
    freed: frozenset[bytes] = frozenset()
    """Parts of trees that would be gone already, were this no dry run."""

    def rule(self, one: Candidate) -> Rule | None:
        """The rule by which a named thing may go."""
        return self.retention.due(one.kept, now=self.now) if one.is_named else None

    def is_free(self, one: Candidate) -> bool:
        """Whether nothing holds it back, whoever named it."""
        if one.is_needed or one.digest.raw in self.claimed:
            return False
        if one.is_part and one.digest.raw not in self.freed:
            return False
        return max(one.kept.came_at, one.kept.named_at) <= self.now - self.grace_ms

    def why(self, one: Candidate) -> tuple[Going, bool] | None:
        """As what it goes, and whether only while its project is over budget; None where it stays."""
        if not self.is_free(one):
            return None
        thing = Thing(one.kept.project, one.kept.kind, one.digest)
        if self.is_garbage(one):
            return Going(thing, one.kept.size, UNNAMED, None), False
        rule = self.rule(one)
        if rule is None:
            return None
        return Going(thing, one.kept.size, RULE, rule.detail), rule.over_budget

    def is_garbage(self, one: Candidate) -> bool:
        """Whether nobody named it, and nobody will."""
        return not one.is_named and (self.open_since is None or one.kept.came_at < self.open_since)
