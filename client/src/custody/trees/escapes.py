"""Paths as a manifest writes them: printable ASCII, with exactly one spelling for each path."""

from __future__ import annotations

import re

from custody.trees.errors import MalformedTreeError

MAX_PATH = 4096
MAX_PART = 255

_ESCAPED = re.compile(rb"%([0-9A-F]{2})")
_TO_ESCAPE = re.compile(rb"[^\x21-\x7e]|%")
# An empty, `.` or `..` part; searched in many paths at once, one a line.
_BAD_PART = re.compile(rb"[/\n]\.{0,2}+[/\n]")
_LONG_PART = re.compile(rb"[^/]{%d}" % (MAX_PART + 1))


def escape(path: bytes) -> bytes:
    """Return `path` in its one written form."""
    return _TO_ESCAPE.sub(lambda match: b"%%%02X" % match[0][0], path)


def unescape(written: bytes) -> bytes:
    """Return the path that `written` stands for.

    Raises:
        MalformedTreeError: It is not the one spelling of that path.
    """
    path = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), written)
    if escape(path) != written:
        raise MalformedTreeError(f"a path is not written as it should be: {written[:200]!r}")
    return path


def check_written(paths: list[bytes]) -> None:
    """Check the parts of many written paths at once; those with escapes are checked by `check_path` too.

    Raises:
        MalformedTreeError: One has an empty, `.` or `..` part.
    """
    found = _BAD_PART.search(b"\n".join((b"", *paths, b"")))
    if found is not None:
        raise MalformedTreeError("a path has an empty part, or one that is . or ..")


def check_path(path: bytes) -> None:
    """Check one path as it is, without escapes.

    Raises:
        MalformedTreeError: It is too long, holds a NUL, or has an empty, `.` or `..` part.
    """
    if not path or len(path) > MAX_PATH or b"\0" in path:
        raise MalformedTreeError(f"not a path for a tree: {path[:200]!r}")
    if any(part in (b"", b".", b"..") or len(part) > MAX_PART for part in path.split(b"/")):
        raise MalformedTreeError(f"not a path for a tree: {path[:200]!r}")


def check_length(path: bytes) -> None:
    """Check that a path and its parts are not too long.

    Raises:
        MalformedTreeError: They are.
    """
    if len(path) > MAX_PATH or (len(path) > MAX_PART and _LONG_PART.search(path)):
        raise MalformedTreeError(f"a path is too long: {path[:200]!r}…")
