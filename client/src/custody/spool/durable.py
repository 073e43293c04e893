"""Writing so that a crash leaves all of a thing or nothing of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, durable when this returns."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    found = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(found)
    finally:
        os.close(found)


def move(source: Path, target: Path) -> None:
    """Give a whole folder another place at once, durable when this returns."""
    os.rename(source, target)  # noqa: PTH104 - the system call that is meant, and no other
    sync_folder(target.parent)
    sync_folder(source.parent)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it; links are removed and not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
