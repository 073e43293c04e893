"""A commit's files as git lists them, and what that commit itself says is not to be tracked."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from custody.capture.ignore import Rules, quick_test

_LINE = re.compile(rb"([0-7]{6}) (blob|commit) ([0-9a-f]{40}|[0-9a-f]{64})\t(.+)", re.DOTALL)

LINK = 0o120000
SUBMODULE = 0o160000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, link or submodule of a commit."""

    mode: int
    raw: bytes


def parse_tree(listing: bytes) -> dict[str, Entry] | None:
    """Read `git ls-tree -r -z`; None when a line is not of its form."""
    entries: dict[str, Entry] = {}
    for line in listing.split(b"\0")[:-1]:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        mode, _, digest, name = match.groups()
        entries[os.fsdecode(name)] = Entry(int(mode, 8), bytes.fromhex(digest.decode()))
    return entries


class TreeIgnore:
    """The `.gitignore` files of a commit, each with its folder; the deepest that matches decides.

    Nothing else is believed: an untracked or edited `.gitignore`, `.git/info/exclude`
    and the user's own configuration could hide a file that the build reads.
    """

    def __init__(self, files: Mapping[str, Iterable[str]], submodules: Iterable[str]) -> None:
        """Take the lines of each `.gitignore` by its folder (`""` or ending in `/`)."""
        self._rules = {folder: Rules.parse(lines) for folder, lines in files.items()}
        self._submodules = frozenset(submodules)
        every = [rule for rules in self._rules.values() for rule in rules.rules]
        names = [".git", *(path.rpartition("/")[2] for path in self._submodules)]
        self.may_match = quick_test(every, names)

    def ignored(self, path: str, is_directory: bool) -> bool:
        """Whether `path` is left out; the directories above it must have been asked before."""
        if path[path.rfind("/") + 1 :] == ".git" or path in self._submodules:
            return True
        at = path.rfind("/")
        while True:
            folder = path[: at + 1]
            rules = self._rules.get(folder)
            decision = rules and rules.decide(path[at + 1 :], is_directory=is_directory)
            if decision is not None and rules is not None:
                return bool(decision)
            if at < 0:
                return False
            at = path.rfind("/", 0, at)
