"""Keeping the node store within its bounds: what was used last stays."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("frames", "blobs", "manifests", "layouts")
_KEPT_SHARE = 0.8
_STALE = 86_400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a pruning found and what it removed, in bytes and entries."""

    entries: int
    size: int
    removed: int
    freed: int


def prune(root: str, limit: int, *, added: int | None = None) -> Pruned | None:
    """Remove what was not used for longest until `limit` bytes are left.

    Args:
        root: The store.
        limit: How many bytes may stay.
        added: Where this many were just added, nothing is looked at as long as the
            count of earlier additions says that there is room; then a fifth more is
            removed, so that this stays rare. None looks at once and removes no more
            than must be.

    Returns:
        What was found and removed, or None where nothing had to be looked at.
    """
    with _alone(root) as usage:
        if added is not None:
            estimate = _estimate(usage) + added
            if estimate <= limit:
                _note(usage, estimate)
                return None
            found = _pruned(root, int(limit * _KEPT_SHARE))
        else:
            found = _pruned(root, limit)
        _note(usage, found.size - found.freed)
    return found


def _pruned(root: str, limit: int) -> Pruned:
    entries = sorted(_entries(root))
    size = sum(one for _, one, _ in entries)
    removed = freed = 0
    for _, one, path in entries:
        if size - freed <= limit:
            break
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        removed, freed = removed + 1, freed + one
    _sweep(f"{root}/new")
    _sweep(f"{root}/locks")
    _remove_empty(f"{root}/frames")
    return Pruned(len(entries), size, removed, freed)


def _entries(root: str) -> Iterator[tuple[float, int, str]]:
    """Yield when each entry was last used, its size on the disk, and its path."""
    for kind in KINDS:
        for folder, _, names in os.walk(f"{root}/{kind}"):
            for name in names:
                path = f"{folder}/{name}"
                with contextlib.suppress(OSError):
                    found = os.lstat(path)
                    yield found.st_mtime, max(found.st_size, found.st_blocks * 512), path


def _sweep(folder: str) -> None:
    """Remove what a killed process left behind a day ago."""
    oldest = time.time() - _STALE
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)


def _remove_empty(folder: str) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                os.rmdir(entry.path)


@contextlib.contextmanager
def _alone(root: str) -> Iterator[int]:
    descriptor = os.open(f"{root}/usage", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _estimate(usage: int) -> int:
    written = os.pread(usage, 32, 0).strip()
    return int(written) if written.isdigit() else 0


def _note(usage: int, size: int) -> None:
    os.ftruncate(usage, 0)
    os.pwrite(usage, b"%d\n" % max(0, size), 0)
