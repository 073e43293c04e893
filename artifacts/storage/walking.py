"""Finding the objects of a directory by the beginning of their keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from artifacts.errors import InvalidInputError
from artifacts.layout import Key
from artifacts.storage.protocol import Listed


def walk(root: int, prefix: str) -> Iterator[Listed]:
    """The objects below the open directory `root` whose keys begin with `prefix`."""
    top = os.path.dirname(prefix) or "."
    try:
        os.stat(top, dir_fd=root)
    except FileNotFoundError:
        return
    for directory, _, names, descriptor in os.fwalk(top, dir_fd=root):
        for name in names:
            path = f"{directory}/{name}".removeprefix("./")
            listed = _listed(path, name, descriptor) if path.startswith(prefix) else None
            if listed is not None:
                yield listed


def _listed(path: str, name: str, descriptor: int) -> Listed | None:
    """The file as an object; None for one that is just gone, and for somebody else's."""
    try:
        found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        return Listed(Key(path), found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
    except (FileNotFoundError, InvalidInputError):
        return None
