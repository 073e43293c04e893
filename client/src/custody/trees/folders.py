"""The directories of a tree that is being written, each reached through its parent's descriptor."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from custody.trees.errors import UnsafeTreeError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPARE = 128

MAX_DEPTH = 200
"""Directories within each other; deeper ones cannot be removed again by most tools."""


class Folders:
    """Makes the directories of a tree, once each, and hands out their descriptors.

    As many stay open as the limit of descriptors allows; the others are opened part
    by part when they are used. Links are followed in neither case. Safe to use from
    several threads once made.
    """

    def __init__(self, root: int, paths: Sequence[bytes], *, room: int | None = None) -> None:
        """Make the directories `paths`, parents first, below the empty directory `root`.

        Raises:
            UnsafeTreeError: One exists already, because the file system takes two names
                for one, or they are too deep.
        """
        self._open: dict[bytes, int] = {b"": root}
        room = _room() if room is None else room
        for path in paths:
            self._make(path, keep=len(self._open) < room)

    def close(self) -> None:
        """Close all descriptors but that of the root."""
        for path, descriptor in self._open.items():
            if path:
                os.close(descriptor)
        self._open = {b"": self._open[b""]}

    @property
    def opened(self) -> dict[bytes, int]:
        """The descriptors of the directories that stay open, by path."""
        return self._open

    @contextmanager
    def at(self, path: bytes) -> Iterator[int]:
        """Yield a descriptor of the directory `path`."""
        known = self._open.get(path)
        if known is not None:
            yield known
            return
        descriptor = self._walk(path)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self, path: bytes, *, keep: bool) -> None:
        parent, _, name = path.rpartition(b"/")
        if path.count(b"/") >= MAX_DEPTH:
            raise UnsafeTreeError(f"the tree is deeper than {MAX_DEPTH} directories: {path[:100]!r}…")
        with self.at(parent) as above:
            try:
                os.mkdir(name, 0o755, dir_fd=above)
            except FileExistsError as error:
                raise clash(path) from error
            if keep:
                self._open[path] = os.open(name, _OPEN, dir_fd=above)

    def _walk(self, path: bytes) -> int:
        """Open `path` from its nearest open ancestor on."""
        parts: list[bytes] = []
        above = path
        while above not in self._open:
            above, _, name = above.rpartition(b"/")
            parts.append(name)
        descriptor = os.dup(self._open[above])
        while parts:
            try:
                below = os.open(parts.pop(), _OPEN, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor


def clash(path: bytes) -> UnsafeTreeError:
    """Return the error for a name that was free and is not."""
    return UnsafeTreeError(
        f"the file system here takes another name of the tree for {os.fsdecode(path)!r}",
        hint="restore into a directory on a file system that can hold them apart",
    )


def _room() -> int:
    """Return how many directories may stay open, after asking for as many as this user may have."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = min(hard, 65536) if hard != resource.RLIM_INFINITY else 65536
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(1, soft - _SPARE - len(os.listdir("/dev/fd"))) if soft > _SPARE else 1
