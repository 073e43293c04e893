"""Where the bytes of a digest come from: a blob of its own, or a frame of a pack."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from api.parts import Parts
from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import NotFoundError
from artifacts.limits import URL_SECONDS
from artifacts.trees.contents import TreeContents
from artifacts.trees.packs import Location


class BlobSource(Protocol):
    """Bytes that a project has proven."""

    @property
    def size(self) -> int:
        """How many there are."""

    def url(self) -> str | None:
        """Where the store gives them to whoever asks, for a few minutes; None where it cannot."""

    def open(self, start: int, length: int) -> AsyncIterable[bytes]:
        """A part of them, or all of them, hashed."""


@dataclass(frozen=True, slots=True)
class OwnBlob:
    """A blob. All of it is hashed on the way out, a part of it cannot be."""

    here: Parts
    project: str
    digest: Digest
    size: int

    def url(self) -> str | None:
        """An address of the store, where clients reach it."""
        return self.here.store.presign_get(layout.blob(self.project, self.digest), seconds=URL_SECONDS)

    def open(self, start: int, length: int) -> AsyncIterable[bytes]:
        """A range that is everything is checked like everything."""
        if length == self.size:
            return self.here.content.open(self.project, self.digest)
        return self.here.store.open(layout.blob(self.project, self.digest), start=start, length=length)


@dataclass(frozen=True, slots=True)
class Member:
    """A file that lies in a frame, which is unfolded and hashed as a whole, also for a part of it."""

    contents: TreeContents
    place: Location

    @property
    def size(self) -> int:
        """The size of the file."""
        return self.place.size

    def url(self) -> str | None:
        """None: the store has only the pack."""
        return None

    async def open(self, start: int, length: int) -> AsyncIterator[bytes]:
        """A part of the file."""
        yield (await self.contents.read(self.place))[start : start + length]


async def found(here: Parts, project: str, digest: Digest) -> BlobSource:
    """The bytes of `digest`.

    Raises:
        NotFoundError: `project` has neither a blob of it nor a pack in which a worker has seen it.
    """
    try:
        return OwnBlob(here, project, digest, await here.content.size(project, digest))
    except NotFoundError:
        contents = TreeContents(here.database, here.store, here.content, project)
        place = await contents.find(digest)
        if place is None:
            raise
        return Member(contents, place)
