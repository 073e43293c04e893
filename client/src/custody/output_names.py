"""The name under which a file stands in the record: its path below the working directory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from custody.errors import MisuseError

# What the service refuses in a name of an output: controls, bytes that are no UTF-8,
# backslashes, and characters that reorder text.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u202a-\u202e\u2066-\u2069\u2028\u2029\udc80-\udcff]")

_ENCODED = re.compile("%[0-9A-F]{2}")
MAX_NAME = 1024
"""Characters of a name that the service takes."""


def output_name(path: str | os.PathLike[str], *, root: str | os.PathLike[str] | None = None) -> str:
    """Return the name of the file `path` as an output of a step that ran in `root`.

    Raises:
        MisuseError: The file lies outside `root`.
    """
    base = os.path.abspath(root or Path.cwd())  # noqa: PTH100 - Path.resolve would follow links
    relative = os.path.relpath(path if os.path.isabs(path) else os.path.join(base, path), base)  # noqa: PTH117, PTH118 - as above
    if relative == ".." or relative.startswith("../"):
        raise MisuseError(
            f"{os.fspath(path)} lies outside the working directory",
            hint="an output is named by its path below it",
        )
    return printable_name(relative)


def printable_name(name: str) -> str:
    """Return `name` as the record may carry it; no two names share a form.

    A name with characters that the record refuses is percent-encoded, its own
    percent signs included, and so is one that reads as if it were encoded already;
    any other name is itself.
    """
    if not _REFUSED.search(name) and not _ENCODED.search(name):
        return name
    return _REFUSED.sub(_encoded, name.replace("%", "%25"))


def _encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))
