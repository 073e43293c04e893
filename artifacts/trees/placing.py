"""Whether every content of a tree is known to be right, and where each lies.

This is the worker's last look before it vouches for a tree. It goes by what the index
says workers have seen: locations and receipts of this project, and the sizes in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.errors import GaveWayError
from artifacts.limits import MAX_TREE_REPORTED
from artifacts.queries import locations, repacking
from artifacts.queries.trees import BLOB_PART
from artifacts.trees.layout import Frame, Frames
from artifacts.trees.manifest import EMPTY, Entry, escaped
from artifacts.trees.packs import Location


@dataclass(slots=True)
class Placing:
    """The entries of one tree, as far as they were looked at."""

    project: str
    entries: int = 0
    size: int = 0
    frames: Frames = field(default_factory=Frames)
    blobs: dict[bytes, int] = field(default_factory=dict)
    """Large contents that are said to be stored, with their sizes; their receipts are yet to be read."""
    missing: dict[str, None] = field(default_factory=dict)
    wrong: str | None = None
    """The first entry that can never be right, and why."""

    async def add(self, connection: AsyncConnection, entries: Sequence[Entry]) -> None:
        """Look where the contents of `entries`, the next ones of the manifest, lie."""
        small = list({entry.digest for entry in entries if entry.is_small})
        large = list({entry.digest for entry in entries if entry.size and not entry.is_small})
        places = await locations.locate(connection, self.project, small)
        blobs = await locations.large_blobs(connection, self.project, large)
        for entry in entries:
            if entry.is_small:
                self._place(entry, places.get(entry.digest))
            elif entry.size:
                self._count_blob(entry, blobs.get(entry.digest))
            elif entry.kind == "f" and entry.digest != EMPTY:
                self._refuse(entry, "its size is 0 and its digest is of something")
            self.entries += 1
            self.size += entry.size

    def _place(self, entry: Entry, place: Location | None) -> None:
        if place is None:
            self._miss(entry)
        elif place.size != entry.size:
            self._refuse(entry, f"its content has {place.size} bytes, not {entry.size}")
        elif entry.kind == "l" and not place.linkable:
            self._refuse(entry, "its content cannot be the target of a link")
        else:
            frame = Frame(place.pack, place.frame_offset, place.frame_length, place.frame_size)
            self.frames.put(frame, start=place.start, entry=self.entries)

    def _count_blob(self, entry: Entry, size: int | None) -> None:
        if size is None:
            self._miss(entry)
        elif size != entry.size:
            self._refuse(entry, f"its content has {size} bytes, not {entry.size}")
        else:
            self.blobs[entry.digest] = size

    def _miss(self, entry: Entry) -> None:
        if len(self.missing) < MAX_TREE_REPORTED:
            self.missing[entry.digest.hex()] = None

    def _refuse(self, entry: Entry, why: str) -> None:
        self.wrong = self.wrong or f"{escaped(entry.path[:200]).decode()}: {why}"

    async def stays(self, connection: AsyncConnection) -> bool:
        """Whether all of it still lies there; in a transaction that may write it stays so to the end.

        A pack may have been packed anew since it was looked up, a blob removed.
        """
        packs = {frame.pack for frame in self.frames}
        if len(await repacking.lock_packs(connection, self.project, packs)) < len(packs):
            return False
        return await repacking.all_stored(connection, self.project, self.blobs)

    @property
    def parts(self) -> set[tuple[bytes, int]]:
        """The frames and blobs the tree is made of."""
        frames = {(frame.pack, frame.offset) for frame in self.frames}
        return frames | {(blob, BLOB_PART) for blob in self.blobs}


def moved() -> GaveWayError:
    """What to raise where it does not stay: the same again goes better."""
    return GaveWayError("some of the tree was packed anew meanwhile")
