"""Writing files so that they survive a crash: file, directory entry, parents.

A failed fsync loses dirty pages without a trace and a second call reports success
(PostgreSQL's "fsyncgate", 2018), so a failure ends the process instead of being retried.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

EXIT_IO_ERROR = 74
"""EX_IOERR of sysexits.h."""


def _die(error: OSError) -> NoReturn:
    # Nothing is flushed or unwound on purpose: no later code may acknowledge a write.
    sys.stderr.write(f"custody-server: fsync failed, stopping before anything is acknowledged: {error}\n")
    sys.stderr.flush()
    os._exit(EXIT_IO_ERROR)


def sync(descriptor: int) -> None:
    """Force a file or directory to the disk, or end the process."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        _die(error)


def sync_directory(path: str, *, dir_fd: int) -> None:
    """Force the entries of the directory `path` (relative to `dir_fd`) to the disk."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=dir_fd)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def make_directories(path: str, *, dir_fd: int) -> None:
    """Make `path` and its parents below `dir_fd`, each durable before the next one relies on it."""
    made: list[str] = []
    missing = path
    while missing:
        try:
            os.mkdir(missing, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            break
        except FileNotFoundError:
            made.append(missing)
            missing = os.path.dirname(missing)
        else:
            sync_directory(os.path.dirname(missing) or ".", dir_fd=dir_fd)
            break
    for directory in reversed(made):
        try:
            os.mkdir(directory, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            continue
        sync_directory(os.path.dirname(directory) or ".", dir_fd=dir_fd)
