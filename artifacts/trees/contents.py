"""The contents of files of a present tree, each hashed before anybody gets it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence

from artifacts import layout as keys
from artifacts.content import Content
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError, NotFoundError
from artifacts.limits import MIB
from artifacts.queries import locations
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression
from artifacts.trees.manifest import Entry
from artifacts.trees.packs import Location

_KEPT_BYTES = 64 * MIB


class TreeContents:
    """Reads files of one project out of their frames; keeps some frames that it has decoded."""

    def __init__(self, database: Database, store: ObjectStore, content: Content, project: str) -> None:
        self._database = database
        self._store = store
        self._content = content
        self._project = project
        self._frames: OrderedDict[tuple[bytes, int], bytes] = OrderedDict()
        self._kept = 0

    async def locate(self, entries: Sequence[Entry]) -> Mapping[bytes, Location]:
        """Where the small contents of `entries` lie."""
        digests = list({entry.digest for entry in entries if entry.is_small})
        async with self._database.reading() as connection:
            return await locations.locate(connection, self._project, digests)

    async def find(self, digest: Digest) -> Location | None:
        """Where the content with that digest lies, if a worker has seen it in a frame of this project."""
        if digest.algorithm != "sha256":
            return None
        async with self._database.reading() as connection:
            return (await locations.locate(connection, self._project, [digest.raw])).get(digest.raw)

    async def open(self, entry: Entry, places: Mapping[bytes, Location]) -> AsyncIterator[bytes]:
        """The content of `entry`.

        Raises:
            CorruptedError: it does not hash to its digest; of it nothing, or not all, was given.
            NotFoundError: it is gone.
        """
        if entry.is_small:
            yield await self._small(entry, places)
        elif entry.size:
            async for piece in self._content.open(self._project, Digest.sha256(entry.digest)):
                yield piece

    async def _small(self, entry: Entry, places: Mapping[bytes, Location]) -> bytes:
        place = places.get(entry.digest)
        if place is None:
            raise NotFoundError("a content of the tree is gone", digest=entry.digest.hex())
        return await self.read(place)

    async def read(self, place: Location) -> bytes:
        """The content that lies there.

        Raises:
            CorruptedError: the frame or the content is damaged.
        """
        frame = await self._frame(place)
        content = frame[place.start : place.start + place.size]
        if hashlib.sha256(content).digest() != place.digest:
            raise CorruptedError("the stored content is damaged and is not served", digest=place.digest.hex())
        return content

    async def _frame(self, place: Location) -> bytes:
        key = (place.pack, place.frame_offset)
        known = self._frames.get(key)
        if known is not None:
            self._frames.move_to_end(key)
            return known
        pack = keys.blob(self._project, Digest.sha256(place.pack))
        raw = await self._store.read(pack, start=place.frame_offset, length=place.frame_length)
        try:
            content = await asyncio.to_thread(compression.decode, raw, size=place.frame_size)
        except (InvalidInputError, LimitExceededError) as error:
            raise CorruptedError(
                "the stored content is damaged and is not served", digest=place.digest.hex()
            ) from error
        self._frames[key] = content
        self._kept += len(content)
        while self._kept > _KEPT_BYTES:
            self._kept -= len(self._frames.popitem(last=False)[1])
        return content
