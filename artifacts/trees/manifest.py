"""The manifest of a tree, `custody-tree/v1`: one text for one directory, and no two.

A file is read as it arrives, in time linear in its length and in bounded memory, and it
is refused where it is not exactly what `write` would have written: two different texts
never mean the same tree, so the sha256 of the text is the identity of the directory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.limits import MAX_ENTRIES, MAX_INTEGER, MAX_PATH, MAX_PATH_PART, MAX_TREE_FILE_BYTES

HEADER: Final = b"custody-tree/v1\n"
MEDIA_TYPE: Final = "application/vnd.custody.tree.v1"
EMPTY: Final = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""The sha256 of nothing."""
MAX_TARGET: Final = 4095
_MAX_LINE: Final = 3 * MAX_PATH + 120

# Possessive, so that no line is scanned twice. Only these bytes are escaped, and never as %00.
_PART: Final = (
    rb"(?!\.{1,2}(?:/|\n))"
    rb"(?:[!-$&-.0-~]|%(?:0[1-9A-F]|1[0-9A-F]|2[05]|7F|[89A-F][0-9A-F]))++"
)
_LINE: Final = re.compile(
    rb"(?:(644|755) f ([0-9a-f]{64}) (0|[1-9][0-9]{0,14})"
    rb"|777 l ([0-9a-f]{64}) ([1-9][0-9]{0,3})"
    rb"|755 d - 0) (" + _PART + rb"(?:/" + _PART + rb")*+)\n"
)
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_TO_ESCAPE: Final = re.compile(rb"[^!-$&-~]")


class Entry(NamedTuple):
    """One line. A tuple and no dataclass: a manifest has up to a million."""

    mode: str
    kind: str
    digest: bytes
    """The 32 bytes of the sha256; none for an empty directory."""
    size: int
    path: bytes
    """As the file system has it, unescaped."""

    @property
    def is_small(self) -> bool:
        """Whether its content lies in a frame; larger content is a blob, and no content nowhere."""
        return 0 < self.size <= MAX_TREE_FILE_BYTES


def escaped(path: bytes) -> bytes:
    """The one written form of `path`."""
    return _TO_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], path)


def unescaped(text: bytes) -> bytes:
    """The path that `text`, a written form, stands for."""
    if b"%" not in text:
        return text
    return _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)


class _Order:
    """Whether each path comes after the last, and lies below none that is an entry itself.

    Between an entry `a` and whatever lies below it, every path in the order begins with
    `a`. So it is enough to keep the entries that are prefixes of the path at hand, and to
    look at the longest of them: of the shorter ones this was seen when the longest came.
    """

    def __init__(self) -> None:
        self._last = b""
        self._prefixes: list[bytes] = []

    def check(self, path: bytes) -> None:
        if path <= self._last:
            raise InvalidInputError("the paths of a manifest are sorted, each once", path=_shown(path))
        prefixes = self._prefixes
        while prefixes and not path.startswith(prefixes[-1]):
            prefixes.pop()
        if prefixes and path[len(prefixes[-1])] == 0x2F:
            raise InvalidInputError("a path lies below one that is no directory", path=_shown(path))
        prefixes.append(path)
        self._last = path


class ManifestReader:
    """Reads a manifest piece by piece."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._order = _Order()
        self.entries = 0
        self.size = 0
        """The sizes of all contents together."""

    def feed(self, piece: bytes) -> list[Entry]:
        """The entries whose lines end in `piece`.

        Raises:
            InvalidInputError: it is not the canonical text of a tree.
            LimitExceededError: there are too many entries, or a path is too long.
        """
        content = self._rest + piece
        start = 0
        if not self._begun:
            if len(content) < len(HEADER):
                self._rest = content
                return []
            if not content.startswith(HEADER):
                raise InvalidInputError("a manifest begins with custody-tree/v1")
            self._begun, start = True, len(HEADER)
        end = content.rfind(b"\n") + 1
        found = self._lines(content, start, end) if end > start else []
        self._rest = content[max(start, end) :]
        if len(self._rest) > _MAX_LINE:
            raise LimitExceededError("a line of the manifest is too long")
        return found

    def _lines(self, content: bytes, start: int, end: int) -> list[Entry]:
        found: list[Entry] = []
        match, check = _LINE.match, self._order.check
        while start < end:
            line = match(content, start, end)
            if line is None:
                raise InvalidInputError(
                    "a line of the manifest is malformed",
                    entry=self.entries + len(found),
                    given=repr(content[start : start + 80]),
                )
            entry = _entry(line)
            check(entry.path)
            found.append(entry)
            self.size += entry.size
            start = line.end()
        self.entries += len(found)
        if self.entries > MAX_ENTRIES:
            raise LimitExceededError(f"a tree has at most {MAX_ENTRIES} entries")
        if self.size > MAX_INTEGER:
            raise LimitExceededError(f"the contents of a tree have at most {MAX_INTEGER} bytes")
        return found

    def finish(self) -> None:
        """Make sure the text ended where a manifest ends.

        Raises:
            InvalidInputError: it did not.
        """
        if not self._begun or self._rest:
            raise InvalidInputError("the manifest is cut short: its last line has no end")


def _entry(line: re.Match[bytes]) -> Entry:
    mode, digest, size, target, length, text = line.groups()
    path = unescaped(text)
    if len(path) > MAX_PATH_PART:
        _check_lengths(path)
    if mode is not None:
        return Entry(mode.decode(), "f", bytes.fromhex(digest.decode()), int(size), path)
    if target is None:
        return Entry("755", "d", b"", 0, path)
    if int(length) > MAX_TARGET:
        raise LimitExceededError(f"the target of a link has at most {MAX_TARGET} bytes", path=_shown(path))
    return Entry("777", "l", bytes.fromhex(target.decode()), int(length), path)


def _check_lengths(path: bytes) -> None:
    if len(path) > MAX_PATH or max(map(len, path.split(b"/"))) > MAX_PATH_PART:
        raise LimitExceededError(
            f"a path has at most {MAX_PATH} bytes and each part {MAX_PATH_PART}", path=_shown(path)
        )


def _shown(path: bytes) -> str:
    return escaped(path[:200]).decode()


def line_of(entry: Entry) -> bytes:
    """The line of `entry`."""
    digest = entry.digest.hex() if entry.digest else "-"
    head = f"{entry.mode} {entry.kind} {digest} {entry.size} "
    return head.encode() + escaped(entry.path) + b"\n"


def write(entries: Iterable[Entry]) -> bytes:
    """The manifest of `entries`, in any order.

    Raises:
        InvalidInputError: no directory holds exactly these.
    """
    content = HEADER + b"".join(line_of(entry) for entry in sorted(entries, key=lambda one: one.path))
    read(content)
    return content


def read(content: bytes) -> list[Entry]:
    """The entries of a whole manifest.

    Raises:
        InvalidInputError: it is not the canonical text of a tree.
        LimitExceededError: it is too large.
    """
    reader = ManifestReader()
    entries = reader.feed(content)
    reader.finish()
    return entries
