"""Bracket expressions of glob patterns, `[a-z]`, `[!x]`, `[[:digit:]]`, as git reads them."""

import re

_NEVER = "(?!)"

# The POSIX classes, ASCII as in git.
_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def read_bracket(pattern: str, at: int) -> tuple[str, int]:
    """Read the bracket expression that begins at `pattern[at]`.

    Returns:
        The regular expression of one character, and where the pattern goes on. An
        expression that is not closed or names an unknown class never matches, and
        takes the rest of the pattern with it.
    """
    reader = _Reader(pattern, at + 1)
    members = reader.read()
    if members is None:
        return _NEVER, len(pattern)
    inside = "".join(members)
    if reader.negated:
        return (f"(?!/)[^{inside}]" if inside else "[^/]"), reader.at
    return (f"(?!/)[{inside}]" if inside else _NEVER), reader.at


class _Reader:
    """Reads the members of one expression, one after the other."""

    def __init__(self, pattern: str, at: int) -> None:
        self._pattern = pattern
        self.negated = pattern[at : at + 1] in ("!", "^") and at < len(pattern)
        self.at = at + self.negated

    def read(self) -> list[str] | None:
        """Return the members as they stand inside `[…]` of a regular expression, or None."""
        members: list[str] = []
        previous = ""
        while True:
            member, previous = self._member(previous)
            if member is None:
                return None
            members.append(member)
            # A `]` closes only after the first member: `[]x]` holds a bracket.
            if self._pattern[self.at : self.at + 1] == "]":
                self.at += 1
                return members

    def _member(self, previous: str) -> tuple[str | None, str]:
        """Read one member; return it and the character that a following `-` would begin from."""
        char = self._take()
        if char == "-" and previous and self._pattern[self.at : self.at + 1] not in ("", "]"):
            return self._range(previous), ""
        if char == "[" and self._pattern[self.at : self.at + 1] == ":":
            return self._class()
        if char == "\\":
            char = self._take()
        return (_escape(char), char) if char else (None, "")

    def _take(self) -> str:
        char = self._pattern[self.at : self.at + 1]
        self.at += 1
        return char

    def _range(self, low: str) -> str | None:
        high = self._take()
        if high == "\\":
            high = self._take()
        if not high:
            return None
        return f"{_escape(low)}-{_escape(high)}" if low <= high else ""

    def _class(self) -> tuple[str | None, str]:
        close = self._pattern.find("]", self.at + 1)
        if close < 0:
            return None, ""
        name = self._pattern[self.at + 1 : close]
        if not name.endswith(":"):
            return _escape("["), "["
        self.at = close + 1
        return _CLASSES.get(name[:-1]), ""


def _escape(char: str) -> str:
    return re.escape(char) if char.isascii() else char
