"""Glob patterns as gitignore(5) defines them, made into regular expressions that cannot be slow.

A repository supplies these patterns, so none may take exponential time. Every
`*` and `**` but the last is matched at its leftmost place and never reconsidered
(an atomic group), which finds a match exactly if there is one.
"""

import re
from collections.abc import Iterator

from custody.capture.brackets import read_bracket

# One piece of a pattern: "*" and "**" and "/" as themselves, all else as the
# regular expression of one character.
Piece = str
STAR, DEEP, SLASH = "*", "**", "/"
NEVER = "(?!)"


def name_regex(pattern: str) -> str:
    """Return the expression for one whole name; every run of `*` means the same here."""
    return _segment([STAR if piece == DEEP else piece for piece in _pieces(pattern)])


def path_regex(pattern: str) -> str:
    """Return the expression for one whole path, relative and with `/` between names.

    `**` as a whole name stands for any number of directories, at the end for
    everything inside; elsewhere it is `*`, which never matches `/`.
    """
    runs = _runs(list(_split(_pieces(pattern))))
    if len(runs) == 1:
        return _run(runs[0])
    first = f"{_run(runs[0])}/" if runs[0] else ""
    middle = "".join(f"(?>(?:[^/]+/)*?{_run(run)}/)" for run in runs[1:-1] if run)
    last = f"(?:[^/]+/)*{_run(runs[-1])}" if runs[-1] else "(?s:.+)"
    return first + middle + last


def last_segment(pattern: str) -> str | None:
    """Return the expression of the last name of `pattern`; None when it is `**`."""
    last = list(_split(_pieces(pattern)))[-1]
    return None if last == [DEEP] else _segment(last)


def _pieces(pattern: str) -> Iterator[Piece]:
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            stop = at + len(pattern[at:]) - len(pattern[at:].lstrip("*"))
            yield STAR if stop - at == 1 else DEEP
            at = stop
        elif char == "[":
            piece, at = read_bracket(pattern, at)
            yield piece
        elif char == "\\":
            yield _escape(pattern[at + 1 : at + 2])
            at += 2
        else:
            yield "[^/]" if char == "?" else _escape(char)
            at += 1


def _escape(char: str) -> Piece:
    """Return the piece for one character itself; a backslash at the end matches nothing."""
    if not char:
        return NEVER
    return char if char == "/" else re.escape(char)


def _split(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    segment: list[Piece] = []
    for piece in pieces:
        if piece == SLASH:
            yield segment
            segment = []
        else:
            segment.append(piece)
    yield segment


def _runs(segments: list[list[Piece]]) -> list[list[list[Piece]]]:
    """Cut the segments at every `**`; what lies between two cuts has a fixed number of names."""
    runs: list[list[list[Piece]]] = [[]]
    for segment in segments:
        if segment == [DEEP]:
            runs.append([])
        else:
            runs[-1].append(segment)
    return runs


def _run(segments: list[list[Piece]]) -> str:
    return "/".join(_segment(segment) for segment in segments)


def _segment(pieces: list[Piece]) -> str:
    """Return the expression for one name."""
    if not pieces:
        return NEVER
    chunks: list[str] = [""]
    for piece in pieces:
        if piece in (STAR, DEEP):
            chunks.append("")
        else:
            chunks[-1] += piece
    if len(chunks) == 1:
        return chunks[0]
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in chunks[1:-1] if chunk)
    # A name is never empty, so a lone star needs one character.
    some = "(?=[^/])" if chunks[0] == "" else ""
    return f"{some}{chunks[0]}{middle}[^/]*{chunks[-1]}"
