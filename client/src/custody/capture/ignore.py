"""Which files of a working directory are left out: gitignore syntax on top of sound defaults.

Two layers. The first holds version control folders and secrets; nothing that lies
in the working directory can re-include those, because a repository that a step
checked out must not be able to publish the secrets of whoever runs it. The second
holds what can be made again, then the lines of `.custodyignore`; the last match wins.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from custody.capture.defaults import REGENERATED, REPOSITORIES, SECRETS
from custody.capture.errors import CaptureError
from custody.capture.globs import last_segment
from custody.capture.hashing import open_regular
from custody.capture.matching import matcher

FILE_NAME = ".custodyignore"
MAX_BYTES = 64 << 10
MAX_LINES = 1000

_MANY = 400
"""Beginnings of names beyond which most names would have one of them."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: what it matches, and whether that is left out or taken back in."""

    pattern: str
    negated: bool
    directories_only: bool
    whole_path: bool
    matches: Callable[[str], object]

    @classmethod
    def parse(cls, line: str, *, fold_case: bool = False) -> "Rule | None":
        """Read one line of an ignore file; None for a comment, an empty or an invalid line."""
        pattern = _trimmed(line)
        if not pattern or pattern.startswith("#"):
            return None
        negated = pattern.startswith("!")
        pattern = pattern[negated:]
        directories_only = pattern.endswith("/")
        pattern = pattern[: len(pattern) - directories_only]
        whole_path = "/" in pattern
        pattern = pattern.removeprefix("/")
        if not pattern:
            return None
        matches = matcher(pattern, whole_path=whole_path, fold_case=fold_case)
        return cls(pattern, negated, directories_only, whole_path, matches)


@dataclass(frozen=True, slots=True)
class Rules:
    """A list of rules in the order of a file."""

    rules: tuple[Rule, ...]

    @classmethod
    def parse(cls, lines: Iterable[str], *, fold_case: bool = False) -> "Rules":
        """Read the lines of an ignore file."""
        parsed = (Rule.parse(line, fold_case=fold_case) for line in lines)
        return cls(tuple(rule for rule in parsed if rule is not None))

    def decide(self, path: str, *, is_directory: bool) -> bool | None:
        """Return True if the last rule that matches leaves `path` out, False if it keeps it.

        None when no rule matches. The directories above are not considered.
        """
        name = path[path.rfind("/") + 1 :]
        for rule in reversed(self.rules):
            if rule.directories_only and not is_directory:
                continue
            if rule.matches(path if rule.whole_path else name):
                return not rule.negated
        return None


class Ignore:
    """The rules that hold for one working directory.

    `may_match(name)` is a quick test of a name alone that never misses; only where
    it says yes need `ignored` be asked.
    """

    def __init__(
        self, lines: Iterable[str] = (), *, defaults: bool = True, allow_secrets: bool = False
    ) -> None:
        locked = list(REPOSITORIES) if defaults else []
        if defaults and not allow_secrets:
            locked.extend(SECRETS)
        self._locked = Rules.parse(locked, fold_case=True)
        self._open = Rules.parse([*(REGENERATED if defaults else ()), *lines])
        self.may_match = quick_test((*self._locked.rules, *self._open.rules))

    @classmethod
    def load(cls, root: str | os.PathLike[str], *, allow_secrets: bool = False) -> "Ignore":
        """Read `.custodyignore` of `root`, if there is one.

        Raises:
            CaptureError: It cannot be read, is a link, is not UTF-8, or is too large.
        """
        return cls(_lines(os.path.join(root, FILE_NAME)), allow_secrets=allow_secrets)

    def ignored(self, path: str, is_directory: bool) -> bool:
        """Whether `path` itself is left out; the directories above it must have been asked before."""
        if self._locked.decide(path, is_directory=is_directory):
            return True
        return bool(self._open.decide(path, is_directory=is_directory))

    def covers(self, path: str, *, is_directory: bool = False) -> bool:
        """Whether `path` is left out, by itself or with a directory above it."""
        end = path.find("/")
        while end >= 0:
            if self.ignored(path[:end], True):
                return True
            end = path.find("/", end + 1)
        return self.ignored(path, is_directory)


def quick_test(rules: Iterable[Rule], also: Iterable[str] = ()) -> Callable[[str], bool]:
    """Make a test of names that says yes to `also` and whenever a rule may leave the name out."""
    wanted = _Shapes({name.lower() for name in also})
    for rule in rules:
        if not rule.negated:
            wanted.add(rule.pattern)
    names, endings, beginnings = frozenset(wanted.names), frozenset(wanted.endings), tuple(wanted.beginnings)
    pattern = (
        re.compile("|".join(wanted.others), re.IGNORECASE | re.DOTALL).fullmatch if wanted.others else None
    )

    # Two characters rule out nearly every name before the longer comparison.
    heads = frozenset(beginning[:2] for beginning in beginnings)

    def may_match(name: str) -> bool:
        lowered = name.lower()
        return (
            lowered in names
            or lowered[lowered.rfind(".") :] in endings
            or (lowered[:2] in heads and lowered.startswith(beginnings))
            or (pattern is not None and pattern(name) is not None)
        )

    return may_match if pattern is not None else _by_ends(may_match, names.union(beginnings), endings)


def _by_ends(
    thorough: Callable[[str], bool], beginnings: Iterable[str], endings: Iterable[str]
) -> Callable[[str], bool]:
    """Make the same test, asking `thorough` only where the two characters at an end do not rule a name out.

    This is asked of every name of a tree. Names that are not ASCII change in odd ways when
    they are lowered, so they are always asked about.
    """
    heads, tails = _spelled(one[:2] for one in beginnings), _spelled(one[-2:] for one in endings)
    if len(heads) > _MANY or any(len(one) < 2 for one in tails):
        return thorough

    def may_match(name: str) -> bool:
        return (name[:2] in heads or name[-2:] in tails or not name.isascii()) and thorough(name)

    return may_match


def _spelled(short: Iterable[str]) -> frozenset[str]:
    """Return `short`, lowered texts of at most two characters, in every mixture of cases."""
    pairs = ((one[:1], one[1:]) for one in short)
    return frozenset(
        first + second
        for one, other in pairs
        for first in (one, one.upper())
        for second in (other, other.upper())
    )


@dataclass(slots=True)
class _Shapes:
    """Last names of patterns in lower case, each where it is found fastest."""

    names: set[str] = field(default_factory=set)
    endings: set[str] = field(default_factory=set)
    beginnings: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    def add(self, pattern: str) -> None:
        """Sort `pattern` in; a shape may say more than the pattern, never less."""
        last = pattern.rpartition("/")[2]
        beginning = re.match(r"[^*?\[\\]*", last)
        if "[" in pattern or "\\" in pattern or beginning is None:
            self.others.append(last_segment(pattern) or "(?s:.+)")
        elif beginning[0] == last:
            self.names.add(last.lower())
        elif len(beginning[0]) > 1:
            self.beginnings.add(beginning[0].lower())
        elif last.startswith("*.") and not re.search(r"[*?]", last[1:]):
            self.endings.add(last[last.rfind(".") :].lower())
        else:
            self.others.append(last_segment(pattern) or "(?s:.+)")


def _trimmed(line: str) -> str:
    """Cut spaces off the end, but not one that a backslash keeps."""
    text = line.removesuffix("\r")
    kept = text.rstrip(" ")
    if kept == text:
        return text
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if backslashes % 2 else kept


def _lines(path: str) -> list[str]:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CaptureError(
            f"{FILE_NAME}: {error.strerror}", hint="make it a readable file, or remove it"
        ) from error
    with os.fdopen(descriptor, "rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise CaptureError(f"{FILE_NAME} is larger than {MAX_BYTES} bytes", hint="name folders, not files")
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise CaptureError(f"{FILE_NAME} is not UTF-8") from error
    if len(lines) > MAX_LINES:
        raise CaptureError(f"{FILE_NAME} has more than {MAX_LINES} lines", hint="name folders, not files")
    return lines
