"""Directories in the spool: a private copy, file by file, that is the tree that was captured or nothing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from custody.capture.hashing import open_regular
from custody.errors import ContentError
from custody.trees.capture import Captured, Exactly, capture
from custody.trees.errors import ChangedError
from custody.trees.manifest import EXECUTABLE, FOLDER, LINK

OVERHEAD = 4096
"""Bytes that an entry takes beside its content, about."""

_CHUNK = 1024 * 1024


def copy_tree(taken: Captured, target: Path) -> None:
    """Copy what was captured to the new directory `target`; durable when this returns.

    Raises:
        ChangedError: Something is no longer what was captured.
        OSError: It cannot be written.
    """
    manifest = taken.manifest
    target.mkdir(mode=0o700)
    for folder in manifest.folders():
        (target / os.fsdecode(folder)).mkdir(mode=0o700)
    for entry, path in enumerate(manifest.paths):
        name, kind = os.fsdecode(path), manifest.kinds[entry]
        if kind == FOLDER:
            continue
        try:
            if kind == LINK:
                found = _copy_link(f"{taken.root}/{name}", target / name)
            else:
                mode = 0o700 if kind == EXECUTABLE else 0o600
                found = _copy_file(f"{taken.root}/{name}", target / name, mode, manifest.sizes[entry])
        except FileNotFoundError as error:
            raise ChangedError(f"{name}: changed after it was captured") from error
        if found != manifest.raw(entry):
            raise ChangedError(f"{name}: changed after it was captured")
    # One call for all: to wait for each of a hundred thousand files would take minutes.
    os.sync()


def copied_tree(place: Path, sha256: str) -> Captured:
    """Capture the copy again, every file hashed.

    Raises:
        ContentError: It is not the tree that was copied.
    """
    found = capture(place, leaving=Exactly(allow_secrets=True))
    if found.manifest.sha256 != sha256:
        raise ContentError(f"{place.name}: the directory in the spool is damaged")
    return found


def _copy_link(source: str, target: Path) -> bytes:
    text = os.readlink(source)  # noqa: PTH115 - stays text
    target.symlink_to(text)
    return hashlib.sha256(os.fsencode(text)).digest()


def _copy_file(source: str, target: Path, mode: int, size: int) -> bytes:
    hasher = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with (
        os.fdopen(open_regular(source), "rb") as stream,
        os.fdopen(os.open(target, flags, mode), "wb") as copy,
    ):
        # One byte more than expected shows a file that grew; no more of it is wanted.
        left = size + 1
        while left and (chunk := stream.read(min(_CHUNK, left))):
            left -= len(chunk)
            hasher.update(chunk)
            copy.write(chunk)
    return hasher.digest()
