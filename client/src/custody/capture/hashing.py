"""Hashing one file, without following links and without believing that it holds still."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from custody.capture.errors import UnsafeFileError
from custody.capture.identity import Identity, identity_of, same_file

WHOLE_UP_TO = 1 << 20
CHUNK = 1 << 20

# O_NONBLOCK: opening a fifo that nobody writes to would wait for ever.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Progress = Callable[[int], None]


class Hasher(Protocol):
    """The part of hashlib's objects that is used here."""

    def update(self, content: bytes | memoryview, /) -> None:
        """Take in `content`."""

    def digest(self) -> bytes:
        """Return the digest of everything taken in."""


Start = Callable[[int], Hasher]


@dataclass(frozen=True, slots=True)
class Hashed:
    """The digest of the bytes that were read.

    `stable` is false when the file changed meanwhile: `raw` is then the digest of
    bytes that perhaps never stood in the file together.
    """

    raw: bytes
    size: int
    stable: bool
    identity: Identity

    @property
    def digest(self) -> str:
        """The digest as it is written, for content hashed with sha256."""
        return f"sha256:{self.raw.hex()}"


def sha256(_size: int) -> Hasher:
    """Begin a sha256 of the content alone."""
    return hashlib.sha256()


def open_regular(path: str, *, expected: Identity | None = None) -> int:
    """Open the regular file `path` for reading and return its descriptor.

    Args:
        path: The file; its last component is never followed when it is a link.
        expected: What a scan saw here. Another inode is refused, so that a
            directory replaced by a link meanwhile leads nowhere.

    Raises:
        UnsafeFileError: It is a link, no regular file, or not the expected one.
        OSError: It cannot be opened.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise UnsafeFileError(path, "is a symbolic link, which is not followed") from error
        if error.errno == errno.ENXIO:
            raise UnsafeFileError(path, "is not a regular file") from error
        raise
    try:
        _require(descriptor, path, expected)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def hash_file(
    path: str,
    *,
    expected: Identity | None = None,
    start: Start = sha256,
    progress: Progress | None = None,
) -> Hashed:
    """Hash the regular file `path`.

    The file is stat'ed (1) after opening, (2) again after the last byte. Where the two
    differ, or the bytes read are not as many as (1) said, the result is not `stable`.

    Args:
        path: The file, opened as `open_regular` does.
        expected: As for `open_regular`.
        start: Makes the hasher, given the size; git puts the size before the content.
        progress: Called with the number of bytes of each piece that was read.

    Raises:
        UnsafeFileError: As `open_regular` says.
        OSError: It cannot be opened or read.
    """
    descriptor = open_regular(path, expected=expected)
    try:
        before = os.fstat(descriptor)
        hasher = start(before.st_size)
        read = _whole if before.st_size <= WHOLE_UP_TO else _pieces
        size = read(descriptor, hasher, before.st_size, progress)
        identity = identity_of(before)
        stable = identity_of(os.fstat(descriptor)) == identity and size == before.st_size
    finally:
        os.close(descriptor)
    return Hashed(hasher.digest(), size, stable, identity)


def _require(descriptor: int, path: str, expected: Identity | None) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFileError(path, "is not a regular file")
    if expected is not None and not same_file(identity_of(found), expected):
        raise UnsafeFileError(path, "was replaced while it was captured")


def _whole(descriptor: int, hasher: Hasher, size: int, progress: Progress | None) -> int:
    """Read a small file at once; one byte more than expected would show that it grew."""
    content = os.read(descriptor, size + 1)
    hasher.update(content)
    if progress is not None:
        progress(len(content))
    return len(content)


def _pieces(descriptor: int, hasher: Hasher, size: int, progress: Progress | None) -> int:
    """Read to the end, but not for ever: a file that outgrows `size` by a piece is changing."""
    buffer = memoryview(bytearray(CHUNK))
    total = 0
    while total <= size:
        count = os.readv(descriptor, [buffer])
        if count == 0:
            break
        hasher.update(buffer[:count])
        total += count
        if progress is not None:
            progress(count)
    return total
