"""Writing to a terminal that must not be taken over by what is written.

Names of files, messages of the service and URIs come from strangers. A terminal
obeys control characters in them: they can rewrite lines above, set the clipboard
or reverse the reading order. Everything from outside passes `plain` first.
"""

from __future__ import annotations

import os
import sys

_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LINES = (0x2028, 0x2029)
_INVISIBLE = (0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080))
_SURROGATES = range(0xD800, 0xE000)
_UNSAFE = {
    code: (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    for code in (*range(0x20), *range(0x7F, 0xA0), *_BIDI, *_LINES, *_INVISIBLE, *_SURROGATES)
}
_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def plain(text: object, *, limit: int = 2000) -> str:
    """Return `text` on one line, with everything a terminal would obey written out."""
    shown = str(text)
    if len(shown) > limit:
        shown = shown[: limit - 1] + "…"
    return shown.translate(_UNSAFE)


def coloured(stream: object) -> bool:
    """Return whether `stream` is a terminal whose owner has not declined colour."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(getattr(stream, "isatty", lambda: False)())


def paint(text: str, colour: str, *, on: object) -> str:
    """Return `text` in `colour` where the stream `on` shows colours."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if coloured(on) else text


def say(line: str = "") -> None:
    """Write one line of results to standard output."""
    _write(sys.stdout, line)


def note(line: str = "") -> None:
    """Write one line about the work, not its result, to standard error."""
    _write(sys.stderr, line)


def complain(message: str, hint: str | None = None) -> None:
    """Write a one-line error, and a hint when there is one, to standard error."""
    note(f"{paint('custody:', 'red', on=sys.stderr)} {plain(message).rstrip('.')}")
    if hint:
        note(f"hint: {plain(hint)}")


def warn(message: str, hint: str | None = None) -> None:
    """Write a one-line warning, and a hint when there is one, to standard error."""
    note(f"{paint('custody: warning:', 'yellow', on=sys.stderr)} {plain(message).rstrip('.')}")
    if hint:
        note(f"hint: {plain(hint)}")


def _write(stream: object, line: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    safe = line.encode(encoding, "backslashreplace").decode(encoding)
    print(safe, file=stream, flush=True)  # type: ignore[call-overload]  # any text stream, also a test's
