"""Taking contents out of old packs into new ones, each hashed on the way. Nothing here is written anywhere.

Frames of which everything is wanted are taken over as they are; of others the wanted
contents are put together into new frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.queries.locations import SeenPack
from artifacts.queries.repacking import Move
from artifacts.trees import compression
from artifacts.trees.claims import FileClaim, PackClaim
from artifacts.trees.packing import Packer
from artifacts.trees.packs import Location


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack that was made here."""

    content: bytes
    claim: PackClaim


@dataclass(slots=True)
class Moving:
    """Old packs that are packed anew together."""

    old: list[bytes] = field(default_factory=list)
    taken: dict[bytes, Location] = field(default_factory=dict)
    """The contents that are taken along, and where they lay."""
    lost: list[Location] = field(default_factory=list)
    """Contents that are damaged where they lie."""
    claims: list[PackClaim] = field(default_factory=list)
    """Of the new packs that are closed."""
    packer: Packer = field(default_factory=Packer)

    def take(self, pack: bytes, content: bytes, places: Sequence[Location]) -> Iterator[NewPack]:
        """Take what lies at `places` of `pack`, sorted; give each new pack that is full."""
        self.old.append(pack)
        for (offset, length), inside in groupby(
            places, key=lambda place: (place.frame_offset, place.frame_length)
        ):
            self._take_frame(content[offset : offset + length], list(inside))
            if self.packer.is_full:
                yield from self.close()

    def _take_frame(self, raw: bytes, places: list[Location]) -> None:
        size = places[0].frame_size
        try:
            frame = compression.decode(raw, size=size)
        except (InvalidInputError, LimitExceededError):
            self.lost += places
            return
        good = [place for place in places if _holds(frame, place)]
        self.lost += [place for place in places if place not in good]
        self.taken |= {place.digest: place for place in good}
        if sum(place.size for place in good) == size:
            self.packer.keep(raw, [FileClaim(place.digest, place.size) for place in good])
            return
        for place in good:
            self.packer.add(frame[place.start : place.start + place.size])

    def close(self) -> Iterator[NewPack]:
        """Close the pack that is open, if there is something in it."""
        closed = self.packer.close()
        if closed is not None:
            self.claims.append(closed[1])
            yield NewPack(*closed)

    def outcome(self) -> Move:
        """What takes the place of what, once the last pack is closed."""
        places = [place for claim in self.claims for place in self._places(claim)]
        frames = frozenset(
            (before.pack, before.frame_offset, place.pack, place.frame_offset)
            for place in places
            for before in (self.taken[place.digest],)
        )
        new = [SeenPack(claim.digest, claim.size, Digest.of(claim.to_bytes())) for claim in self.claims]
        return Move(tuple(self.old), new, places, frames)

    def _places(self, claim: PackClaim) -> Iterator[Location]:
        for frame in claim.frames:
            start = 0
            for file in frame.files:
                place = (claim.digest.raw, frame.offset, frame.length, frame.size, start)
                yield Location(file.digest, *place, file.size, self.taken[file.digest].linkable)
                start += file.size


def _holds(frame: bytes, place: Location) -> bool:
    return hashlib.sha256(frame[place.start : place.start + place.size]).digest() == place.digest
