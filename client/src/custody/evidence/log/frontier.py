"""The right edge of a log: all that is needed to add to it, and the tiles that come of adding.

What an appender writes and what an audit expects is made here alone, by one pure function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from custody.evidence.errors import EvidenceError
from custody.evidence.log.merkle import EMPTY_ROOT, leaf_hashes, root_of
from custody.evidence.log.tiles import WIDTH, Tile, decode_entries, edge, encode_entries, split

_Write: TypeAlias = Callable[[list[bytes]], bytes]


@dataclass(slots=True)
class Frontier:
    """A log of `size` leaves, of which only the tiles that are not full are held.

    Invariant: `levels[n]` are the hashes of the last tile of level n, fewer than 256; `entries`
    are those that the first of them hash.
    """

    size: int = 0
    entries: list[bytes] = field(default_factory=list)
    levels: list[list[bytes]] = field(default_factory=list)

    def copy(self) -> Frontier:
        """Another one that grows by itself."""
        return Frontier(self.size, list(self.entries), [list(level) for level in self.levels])

    @property
    def root(self) -> bytes:
        """The root over all leaves."""
        below: list[bytes] = []
        for level in self.levels:
            # What is not whole yet stands behind what is: it is the last of the level above.
            nodes = level + below
            below = [root_of(nodes)] if nodes else []
        return below[0] if below else EMPTY_ROOT

    def grow(self, entries: Sequence[bytes]) -> dict[Tile, bytes]:
        """Add `entries`, and return the tiles that the log has now and had not before, lowest first."""
        if not entries:
            return {}
        held = self.entries + list(entries)
        tiles = _cut(None, self.size // WIDTH, held, encode_entries)
        self.entries = held[len(held) // WIDTH * WIDTH :]
        hashes, number, level = leaf_hashes(entries), self.size, 0
        self.size += len(entries)
        while hashes:
            if level == len(self.levels):
                self.levels.append([])
            held = self.levels[level] + hashes
            tiles |= _cut(level, number // WIDTH, held, b"".join)
            whole = len(held) // WIDTH * WIDTH
            self.levels[level] = held[whole:]
            hashes = [root_of(held[at : at + WIDTH]) for at in range(0, whole, WIDTH)]
            number, level = number // WIDTH, level + 1
        return tiles

    @classmethod
    def of(cls, size: int, contents: Mapping[Tile, bytes]) -> Frontier:
        """The edge of a log, from those of its tiles that `edge` names.

        Raises:
            EvidenceError: the tiles are damaged, or do not belong together.
        """
        found = cls(size)
        for tile in edge(size):
            if tile.level is None:
                found.entries = decode_entries(contents[tile], tile.width)
                continue
            found.levels += [[] for _ in range(tile.level + 1 - len(found.levels))]
            found.levels[tile.level] = split(contents[tile], tile)
        if found.entries and leaf_hashes(found.entries) != found.levels[0]:
            raise EvidenceError("the last entries of the log are not those that its last tile has hashes of")
        return found


def _cut(level: int | None, first: int, held: list[bytes], write: _Write) -> dict[Tile, bytes]:
    """The tiles of one level, from the one of number `first` on, whose contents begin with `held`."""
    tiles = {}
    for number, at in enumerate(range(0, len(held), WIDTH), start=first):
        some = held[at : at + WIDTH]
        tiles[Tile(level, number, len(some))] = write(some)
    return tiles
