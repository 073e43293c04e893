"""Names that some file system takes for `.git`, which would make a directory a repository.

A repository brings hooks and settings that the next `git` command in it obeys, so a tree
becomes one only where that was asked for. File systems differ in what they take for the
name, and the tree may be copied from one to another later: all forms are refused on all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from custody.trees.errors import UnsafeTreeError

# What HFS+ does not see in a name.
_UNSEEN = [
    chr(code).encode()
    for code in (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF)
]
# NTFS leaves out dots and spaces at the end, and takes what follows a colon for a stream; the
# second is the short name that it gives the first directory of that kind.
_NAMES = (b".git", b"git~1")
_AT_ONCE = 4096


def check_git_names(paths: Sequence[bytes]) -> None:
    """Check that no part of a path is, or can be taken for, `.git`.

    Raises:
        UnsafeTreeError: One is.
    """
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        for number in _suspects(b"\0".join(some).lower()):
            raise UnsafeTreeError(
                f"the tree holds a git repository, or what may become one: {os.fsdecode(some[number])[:200]!r}",
                hint="its hooks and settings act in the next git command; "
                "if you trust them, restore it with custody get --allow-git-names",
            )


def _suspects(text: bytes) -> Iterator[int]:
    """Yield the numbers of those paths in `text`, lower case and joined by NULs, that have such a part."""
    if b"\xe2\x80" in text or b"\xe2\x81" in text or b"\xef\xbb\xbf" in text:
        for unseen in _UNSEEN:
            text = text.replace(unseen, b"")
    at = text.find(b"git")
    while at >= 0:
        first = max(text.rfind(b"/", 0, at), text.rfind(b"\0", 0, at)) + 1
        part = text[first : first + 512].partition(b"\0")[0].partition(b"/")[0]
        if part.partition(b":")[0].rstrip(b". ") in _NAMES:
            yield text.count(b"\0", 0, at)
        at = text.find(b"git", at + 1)
