"""Retention rules: which named artifacts may go, and when. Nothing here removes anything.

Rules come from a TOML file of the operator, with a closed schema: a member that is not known
is an error, because a rule that is half understood would remove the wrong things. The first
rule that matches an artifact decides; what no rule matches stays for ever.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Final

from artifacts.control import BLOB, TREE
from artifacts.errors import InvalidInputError
from artifacts.refs import checked_name
from artifacts.steps import checked_project

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_UNITS: Final = {"h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(KiB|MiB|GiB|TiB|B)?")
_BYTES: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a thing that is kept: moments are milliseconds since 1970, 0 for never."""

    project: str
    kind: str
    size: int
    came_at: int
    named_at: int = 0
    used_at: int = 0
    names: tuple[str, ...] = ()

    @property
    def touched_at(self) -> int:
        """When it came, was named or was read, whichever was last."""
        return max(self.came_at, self.named_at, self.used_at)


@dataclass(frozen=True, slots=True)
class Rule:
    """What it matches, and when that may go. `None` matches everything."""

    number: int
    project: str | None = None
    name: str | None = None
    kind: str | None = None
    larger_than: int | None = None
    keep: bool = False
    older_than: int | None = None
    unused_for: int | None = None
    over_budget: bool = False
    text: str = field(default="", compare=False)

    def matches(self, kept: Kept) -> bool:
        """Whether this rule is about `kept`."""
        return (
            self.project in {None, kept.project}
            and self.kind in {None, kept.kind}
            and (self.larger_than is None or kept.size > self.larger_than)
            and (self.name is None or any(fnmatchcase(name, self.name) for name in kept.names))
        )

    def is_due(self, kept: Kept, *, now: int) -> bool:
        """Whether `kept` is old and unused enough for it: everything that is given must hold."""
        if self.keep:
            return False
        if self.older_than is not None and now - kept.came_at < self.older_than:
            return False
        return self.unused_for is None or now - kept.touched_at >= self.unused_for

    @property
    def detail(self) -> str:
        """How a tombstone names it."""
        return f"rule {self.number}: {self.text}"[:1000]


@dataclass(frozen=True, slots=True)
class Retention:
    """All rules, and the bytes each project may take up before what may go over budget goes."""

    rules: tuple[Rule, ...] = ()
    budgets: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def due(self, kept: Kept, *, now: int) -> Rule | None:
        """The rule by which `kept` may go now, or only once over budget (`over_budget`); None: it stays."""
        for rule in self.rules:
            if rule.matches(kept):
                return rule if rule.is_due(kept, now=now) else None
        return None

    def concerns(self, project: str) -> bool:
        """Whether any rule could let something of `project` go."""
        return any(rule.project in {None, project} and not rule.keep for rule in self.rules)

    @classmethod
    def parse(cls, text: str) -> Retention:
        """Read a retention file.

        Raises:
            InvalidInputError: it is none: not TOML, an unknown member, a rule that says nothing or two things.
        """
        try:
            read = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInputError(f"the retention file is no TOML: {error}") from error
        _closed("the retention file", read, {"rule", "budget"})
        rules = [_rule(number, one) for number, one in enumerate(_tables(read, "rule"), start=1)]
        budgets = dict(_budget(one) for one in _tables(read, "budget"))
        if len(budgets) != len(_tables(read, "budget")):
            raise InvalidInputError("a project has two budgets")
        if budgets and not any(rule.over_budget for rule in rules):
            raise InvalidInputError(
                "a budget without a rule that says over_budget = true would let nothing go",
                hint="say which artifacts may go when a project is over its budget",
            )
        return cls(tuple(rules), MappingProxyType(budgets))


def _tables(read: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:  # Any: TOML
    found = read.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InvalidInputError(f"write it as [[{name}]]")
    return found


def _closed(what: str, members: Iterable[str], known: Iterable[str]) -> None:
    unknown = sorted(set(members) - set(known))
    if unknown:
        raise InvalidInputError(
            f"{what} has an unknown member: {unknown[0][:80]}", hint=f"known: {sorted(known)}"
        )


def _rule(number: int, members: Mapping[str, Any]) -> Rule:  # Any: TOML
    what = f"rule {number}"
    _closed(what, members, _MEMBERS)
    read = {name: _MEMBERS[name](f"{what}: {name}", value) for name, value in members.items()}
    conditions = [name for name in ("older_than", "unused_for", "over_budget") if name in read]
    if ("keep" in read) == bool(conditions):
        raise InvalidInputError(
            f"{what} says keep = true, or else some of older_than, unused_for and over_budget"
        )
    text = ", ".join(f"{name} = {value}" for name, value in members.items())
    return Rule(number, **read, text=text)


def _budget(members: Mapping[str, Any]) -> tuple[str, int]:  # Any: TOML
    _closed("a budget", members, {"project", "bytes"})
    if set(members) != {"project", "bytes"}:
        raise InvalidInputError("a budget has a project and bytes")
    return _project("a budget: project", members["project"]), _size("a budget: bytes", members["bytes"])


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what} is text")
    return checked_name(value, what)


def _project(what: str, value: object) -> str:
    return checked_project(_text(what, value))


def _kind(what: str, value: object) -> str:
    if value not in {BLOB, TREE}:
        raise InvalidInputError(f"{what} is blob or tree")
    return str(value)


def _yes(what: str, value: object) -> bool:
    if value is not True:
        raise InvalidInputError(f"{what} is true, or is left out")
    return True


def _span(what: str, value: object) -> int:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInputError(f"{what} is a span of time such as 12h, 90d or 8w")
    return int(found[1]) * _UNITS[found[2]]


def _size(what: str, value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidInputError(f"{what} is a number of bytes, such as 5000000 or 20GiB")
    return int(found[1]) * _BYTES.get(found[2], 1)


_MEMBERS: Final[Mapping[str, Callable[[str, object], Any]]] = MappingProxyType(  # Any: each its own
    {
        "project": _project,
        "name": _text,
        "kind": _kind,
        "larger_than": _size,
        "keep": _yes,
        "older_than": _span,
        "unused_for": _span,
        "over_budget": _yes,
    }
)
