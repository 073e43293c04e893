"""Checking a log from outside: that it grew from what it was, and that its entries are what it signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from custody.evidence.errors import EvidenceError
from custody.evidence.log.checkpoint import Checkpoint
from custody.evidence.log.frontier import Frontier
from custody.evidence.log.proofs import check_consistency, consistency_parts, folded
from custody.evidence.log.tiles import WIDTH, Tile, Tiles, decode_entries, edge, needed, part_of, tile_at


class TileSource(Protocol):
    """Gives tiles, of which nothing is believed."""

    def tile(self, path: str) -> bytes:
        """Return what is said to be the tile with that name.

        Raises:
            EvidenceError: There is none.
        """


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf, and its number."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class LogView:
    """A log as its tiles show it."""

    source: TileSource

    def tile(self, tile: Tile) -> bytes:
        """Return a tile; where it has become full meanwhile, the part of it that was asked for.

        Raises:
            EvidenceError: There is none.
        """
        try:
            return self.source.tile(tile.path)
        except EvidenceError:
            if tile.is_full:
                raise
        return part_of(self.source.tile(tile.full.path), tile)

    def check_grown(self, old: Checkpoint, new: Checkpoint) -> None:
        """Return if the log of `new` begins with all that `old` tells of.

        Raises:
            EvidenceError: It does not: it went back, or somebody was shown another log.
        """
        if new.size < old.size:
            raise EvidenceError(f"the log had {old.size} leaves and now shows {new.size}")
        parts = consistency_parts(old.size, new.size)
        tiles = Tiles(new.size, {tile: self.tile(tile) for tile in needed(parts, size=new.size)})
        check_consistency(old.size, new.size, old.root, new.root, folded(parts, tiles.hash_of))

    def compute(self, since: Checkpoint | None, new: Checkpoint) -> Iterator[list[Entry]]:
        """Yield the entries after `since`, or all; when the last was taken they led to the root of `new`.

        Raises:
            EvidenceError: They do not, or a tile is not what follows from them.
        """
        frontier = Frontier()
        if since is not None:
            if since.size > new.size:
                raise EvidenceError(f"the log had {since.size} leaves and now shows {new.size}")
            frontier = Frontier.of(since.size, {tile: self.tile(tile) for tile in edge(since.size)})
            if frontier.root != since.root:
                raise EvidenceError(f"the log does not begin with the {since.size} leaves that were kept")
        while frontier.size < new.size:
            begin, number = frontier.size, frontier.size // WIDTH
            tile = tile_at(None, number, size=new.size)
            entries = decode_entries(self.tile(tile), tile.width)[begin - number * WIDTH :]
            self._compare(frontier.grow(entries), new.size)
            yield [Entry(at, content) for at, content in enumerate(entries, begin)]
        if frontier.root != new.root:
            raise EvidenceError("the entries do not lead to the root that is signed")

    def _compare(self, tiles: dict[Tile, bytes], size: int) -> None:
        for tile, content in tiles.items():
            if tile.level is None or tile != tile_at(tile.level, tile.number, size=size):
                continue
            if self.tile(tile) != content:
                raise EvidenceError(f"tile {tile.path} does not follow from the entries")
