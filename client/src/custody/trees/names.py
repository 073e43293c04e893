"""Names that a file system may not be able to hold apart."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

from custody.trees.errors import UnsafeTreeError

_PROBE = "Custody-\u00c9"
# The last two are one name with the first where trailing dots and spaces are left out.
_SPELLINGS = ("custody-\u00c9", "Custody-\u00e9", "Custody-E\u0301", "Custody-\u00c9.", "Custody-\u00c9 ")
_ENDINGS = re.compile(r"[. ]+(?=/|\Z)")


def folds(directory: int) -> bool:
    """Whether the file system of the open, private directory takes different names for one."""
    os.mkdir(_PROBE, 0o700, dir_fd=directory)
    try:
        return any(_exists(name, directory) for name in _SPELLINGS)
    finally:
        os.rmdir(_PROBE, dir_fd=directory)


def check_apart(paths: Iterable[bytes]) -> None:
    """Check that no two paths differ only in case, in the form of their accents, or in dots and spaces at an end.

    Raises:
        UnsafeTreeError: Two do.
    """
    seen: dict[str, bytes] = {}
    for path in paths:
        other = seen.setdefault(folded(path), path)
        if other is not path:
            shown = " and ".join(repr(os.fsdecode(one)[:200]) for one in (other, path))
            raise UnsafeTreeError(
                f"the file system here cannot hold apart {shown}",
                hint="restore into a directory on a file system that can",
            )


def folded(path: bytes) -> str:
    """Return what all spellings of `path` have in common."""
    text = path.decode("utf-8", "surrogateescape")
    return _ENDINGS.sub("", unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold()))


def _exists(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True
