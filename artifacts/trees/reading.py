"""Reading what is stored of trees: bytes as they rest, and the entries of a manifest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError, NotFoundError
from artifacts.layout import Key
from artifacts.limits import MAX_MANIFEST_BYTES
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.compression import FrameReader
from artifacts.trees.manifest import Entry, ManifestReader

_PIECE = 16 * 1024
_HELD = 64
_MUCH = 64 * 1024


async def resting(store: ObjectStore, key: Key, digest: Digest) -> AsyncIterator[bytes]:
    """The bytes at `key`, whose last piece is held back until all of them hash to `digest`.

    Raises:
        CorruptedError: they do not; the reader never sees the end.
    """
    hasher = hashlib.sha256()
    held = b""
    async for piece in store.open(key):
        if held:
            yield held
        await asyncio.to_thread(hasher.update, piece)
        held = piece
    if hasher.hexdigest() != digest.hex:
        raise CorruptedError("what is stored of the tree is damaged and is not served", digest=str(digest))
    yield held


@dataclass(slots=True)
class Reading:
    """A compressed manifest being read, and what is known of it at the end."""

    frame: FrameReader
    manifest: ManifestReader
    hasher: hashlib._Hash

    @classmethod
    def of(cls, length: int | None = None) -> Reading:
        """Begin to read a frame of `length` bytes, where that is known."""
        frame = FrameReader(limit=MAX_MANIFEST_BYTES, length=length)
        return cls(frame, ManifestReader(), hashlib.sha256())

    def feed(self, piece: bytes) -> list[Entry]:
        """The entries that end in `piece`, a piece of the frame.

        Raises:
            InvalidInputError: it is not one frame of one manifest.
            LimitExceededError: it holds too much.
        """
        found: list[Entry] = []
        held: list[bytes] = []
        for text in self.frame.feed(piece):
            # Parsed at once when there is much of it, so that a bomb is met before it has unfolded.
            held.append(text)
            if len(held) == _HELD or len(text) > _MUCH:
                found += self._parsed(held)
        return found + self._parsed(held)

    def _parsed(self, held: list[bytes]) -> list[Entry]:
        text = b"".join(held)
        held.clear()
        self.hasher.update(text)
        return self.manifest.feed(text)

    def finish(self) -> Digest:
        """The digest of the tree.

        Raises:
            InvalidInputError: something is missing at the end.
        """
        self.frame.finish()
        self.manifest.finish()
        return Digest("sha256", self.hasher.hexdigest())


async def read_frame(content: AsyncIterable[bytes], reading: Reading) -> AsyncIterator[list[Entry]]:
    """Feed `content` to `reading`, a little at a time, off the loop."""
    async for piece in content:
        for start in range(0, len(piece), _PIECE):
            entries = await asyncio.to_thread(reading.feed, piece[start : start + _PIECE])
            if entries:
                yield entries


async def watched(content: AsyncIterable[bytes], reading: Reading) -> AsyncIterator[bytes]:
    """Pass `content` on as `reading` reads along; it stops where that refuses it.

    Raises:
        InvalidInputError: it is not one frame of one manifest.
        LimitExceededError: it holds too much.
    """
    held: list[bytes] = []
    size = 0
    async for piece in content:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE:
            yield await _along(held, reading)
            size = 0
    if held:
        yield await _along(held, reading)


async def _along(held: list[bytes], reading: Reading) -> bytes:
    piece = b"".join(held)
    held.clear()
    for start in range(0, len(piece), _PIECE):
        await asyncio.to_thread(reading.feed, piece[start : start + _PIECE])
    return piece


async def entries(store: ObjectStore, project: str, tree: Digest) -> AsyncIterator[list[Entry]]:
    """The entries of a stored manifest, some at a time; complete only if no error came.

    Raises:
        CorruptedError: what is stored is not the manifest of `tree`.
    """
    key = layout.manifest(project, tree)
    size = await store.size(key)
    if size is None:
        raise NotFoundError("the manifest is not stored here", digest=str(tree))
    reading = Reading.of(size)
    try:
        async for some in read_frame(store.open(key), reading):
            yield some
        found = reading.finish()
    except (InvalidInputError, LimitExceededError) as error:
        raise CorruptedError("the stored manifest is damaged", digest=str(tree)) from error
    if found != tree:
        raise CorruptedError("the stored manifest is damaged", digest=str(tree))
