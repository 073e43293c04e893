"""The digests of a directory's files, each read once and only if it must be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping

from custody.capture.hashing import WHOLE_UP_TO, Hashed, hash_file
from custody.capture.identity import Identity, identity_of
from custody.capture.statcache import StatCache
from custody.errors import ContentError
from custody.trees.errors import ChangedError

MAX_REMEMBERED = 200_000
"""Digests that the stat cache keeps for one tree; of a larger one it keeps these."""

# O_NONBLOCK: opening a fifo that nobody writes to would wait for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OVERHEAD = 200

Seen = Callable[[int], None]


class Files:
    """Tells the digest of one file after the other.

    Attributes:
        identities: What the stat cache needs to keep of the first files.
        contents: Small contents that were hashed, by digest, as far as there is room.
        hashed: How many files the stat cache did not know.
    """

    def __init__(self, root: str, cache: StatCache | None, seen: Seen | None, retain: int) -> None:
        self.identities: list[Identity] = []
        self.contents: dict[bytes, bytes] = {}
        self.hashed = 0
        self._root, self._cache, self._seen, self._room = root, cache, seen, retain
        self._known: Mapping[bytes, bytes] = {} if cache is None else cache.entries
        self._tick = None if cache is None else cache.tick(root)

    def digest(self, folder: int, name: bytes, path: bytes, found: os.stat_result) -> tuple[int, bytes]:
        """Return the size and digest of the file `name` of the open directory `folder`.

        Args:
            folder: The directory.
            name: The file in it.
            path: The same file, from the root.
            found: What the file system said of it just now.

        Raises:
            ContentError: It cannot be read, or kept changing.
        """
        identity = identity_of(found)
        size, raw = found.st_size, self._known.get(identity)
        if raw is None:
            content = _small(folder, name, identity, size)
            size, raw = self._hash(path, identity) if content is None else self._taken(identity, content)
        if self._cache is not None and len(self.identities) < MAX_REMEMBERED:
            self.identities.append(identity)
        return size, raw

    def retain_none(self) -> None:
        """Let go of the contents."""
        self._room = 0
        self.contents.clear()

    def _taken(self, identity: Identity, content: bytes) -> tuple[int, bytes]:
        """Hash a small content, and keep it while there is room."""
        raw, size = hashlib.sha256(content).digest(), len(content)
        if self._room > 0:
            self._room -= size + _OVERHEAD
            self.contents[raw] = content
        if self._seen is not None:
            self._seen(size)
        self._note(Hashed(raw, size, stable=True, identity=identity))
        return size, raw

    def _hash(self, path: bytes, expected: Identity) -> tuple[int, bytes]:
        """Hash one file; one that changes meanwhile gets a second chance."""
        place = f"{self._root}/{os.fsdecode(path)}"
        try:
            hashed = hash_file(place, expected=expected, progress=self._seen)
            if not hashed.stable:
                hashed = hash_file(place, expected=expected)
        except OSError as error:
            raise unreadable(path, error) from error
        if not hashed.stable:
            raise ChangedError(
                f"{os.fsdecode(path)}: changes while it is read", hint="wait until whatever writes it is done"
            )
        self._note(hashed)
        return hashed.size, hashed.raw

    def _note(self, hashed: Hashed) -> None:
        self.hashed += 1
        if self._cache is not None and len(self._cache.entries) < MAX_REMEMBERED:
            self._cache.remember(hashed, self._tick)


def _small(folder: int, name: bytes, expected: Identity, size: int) -> bytes | None:
    """Return the content of a small file, or None if that takes a closer look.

    It is the file that was seen, whole and at rest: what the file system says of it after
    the last byte was read is what it said before it was opened.
    """
    if size > WHOLE_UP_TO:
        return None
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return None
    try:
        content = os.read(descriptor, size + 1)
        return content if len(content) == size and identity_of(os.fstat(descriptor)) == expected else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def unreadable(path: bytes, error: OSError) -> ContentError:
    """Return what to raise when `path` of a tree cannot be read."""
    if isinstance(error, FileNotFoundError):
        return ChangedError(f"{os.fsdecode(path)}: disappeared while the directory was captured")
    return ContentError(f"{os.fsdecode(path)}: {error.strerror}")
