"""File names on the wire: text that says exactly which bytes the name has."""

import os
import re
from dataclasses import dataclass

# Bytes that are no UTF-8, control characters, and the backslash itself, so that
# two different names never share one written form.
_ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\\\\\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class WireName:
    """A name as a statement may carry it; `escaped` when it is not the name itself."""

    text: str
    escaped: bool


def wire_name(path: str) -> WireName:
    r"""Return `path` as valid UTF-8 text without control characters.

    Bytes that cannot be shown, control characters and backslashes are written
    `\xHH`, one per byte. The form is unique: no two names of files share it.
    """
    text = os.fsencode(path).decode("utf-8", "surrogateescape")
    written = _ESCAPED.sub(_written_out, text)
    return WireName(written, written != text)


def _written_out(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))
