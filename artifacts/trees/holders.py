"""Which packs hold a content: the one where it is known to lie, and those that hold it unseen.

A content that lay elsewhere already when a pack was looked into is not placed in that pack, which
holds it all the same. Only packs with such gaps are decoded and searched, and only their gaps.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from artifacts import layout
from artifacts.clock import Clock
from artifacts.content import Content
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError, NotFoundError
from artifacts.limits import MAX_TREE_FILE_BYTES
from artifacts.queries import locations, repacking
from artifacts.queries import receipts as receipt_queries
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression
from artifacts.trees.contents import TreeContents
from artifacts.trees.packs import Location

Told = Callable[[str, int], None]
"""Takes what is being done, and how much of it is."""


def quietly(_what: str, _done: int) -> None:
    """Tell nobody."""


class Holders:
    """Looks for packs that hold a content; changes nothing."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._content = Content(database, store, clock)

    async def content(self, project: str, digest: Digest) -> bytes | None:
        """The bytes themselves, if they are few enough to lie in a frame and can be had."""
        async with self._database.reading() as connection:
            place = (await locations.locate(connection, project, [digest.raw])).get(digest.raw)
            size = await receipt_queries.stored_size(connection, project, digest)
        with contextlib.suppress(CorruptedError, NotFoundError):
            if place is not None:
                return await TreeContents(self._database, self._store, self._content, project).read(place)
            if size is not None and size <= MAX_TREE_FILE_BYTES:
                return b"".join([piece async for piece in self._content.open(project, digest)])
        return None

    async def packs(self, project: str, digest: Digest, secret: bytes | None, told: Told) -> list[Digest]:
        """The packs that hold it, the one where it is known to lie last: by that the others are found."""
        async with self._database.reading() as connection:
            place = (await locations.locate(connection, project, [digest.raw])).get(digest.raw)
        found = await self._hiding(project, secret, told) if secret else []
        last = [] if place is None else [place.pack]
        return [Digest.sha256(raw) for raw in (*(raw for raw in found if raw not in last), *last)]

    async def _hiding(self, project: str, secret: bytes, told: Told) -> list[bytes]:
        """The packs that hold `secret` where the index says of nothing that it lies there."""
        async with self._database.reading() as connection:
            suspects = sorted(await repacking.packs_with_gaps(connection, project))
        return await self.searched(project, suspects, secret, told)

    async def searched(self, project: str, packs: Sequence[bytes], secret: bytes, told: Told) -> list[bytes]:
        """Those of `packs` that hold `secret` where nothing is placed in them."""
        found = []
        for number, pack in enumerate(packs, 1):
            told("packs searched", number)
            async with self._database.reading() as connection:
                places = await repacking.lying_in(connection, project, [pack])
            with contextlib.suppress(NotFoundError):
                content = await self._store.read(layout.blob(project, Digest.sha256(pack)))
                if await asyncio.to_thread(hides, content, places, secret):
                    found.append(pack)
        return found


def hides(pack: bytes, places: Sequence[Location], secret: bytes) -> bool:
    """Whether `secret` lies in `pack` where none of `places`, which are all that is known of it, is."""
    covered: dict[int, list[Location]] = {}
    for place in places:
        covered.setdefault(place.frame_offset, []).append(place)
    try:
        for offset, content in compression.frames(pack):
            if any(secret in gap for gap in _gaps(content, covered.get(offset, []))):
                return True
    except (InvalidInputError, LimitExceededError):
        return False
    return False


def _gaps(content: bytes, places: Sequence[Location]) -> list[bytes]:
    gaps, end = [], 0
    for place in sorted(places, key=lambda one: one.start):
        gaps.append(content[end : place.start])
        end = place.start + place.size
    return [*gaps, content[end:]]
