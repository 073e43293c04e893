"""Auditing the log: everything is computed again from its entries, and compared with all that was kept.

1. The checkpoint is signed by the key of the log.
2. From the entries, in order, come all tiles; each must be the one that lies there.
3. The leaves in the index are those of the entries, each with its number.
4. Checkpoints that somebody kept are of this log: it begins with what they tell of.
5. All of it leads to the root that is signed.

Where a leaf stands in three places, the two that agree tell which one was changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from artifacts.errors import CorruptedError, EvidenceError, NotFoundError
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hashes
from provenance.log.notes import NoteKey
from provenance.log.objects import LogObjects, Parts
from provenance.log.tiles import WIDTH, Tile, decode_entries, part_of, split, tile_at


class Rows(Protocol):
    """The leaves in the index."""

    async def together(self, begin: int, end: int) -> bytes:
        """The hashes of the leaves between two numbers, one after the other."""

    async def each(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        """As `together`, each with its number."""


_TILES_AT_ONCE: Final = 16
MAX_FINDINGS: Final = 1000
"""Named one by one; more are counted."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that is not as it was signed."""

    place: str
    """`checkpoint`, `tile 0/000`, `leaf 17`, `row 17`."""
    reason: str


@dataclass(slots=True)
class Audit:
    """What an audit saw."""

    checkpoint: Checkpoint | None = None
    leaves: int = 0
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything is as it was signed."""
        return not self.found

    def find(self, place: str, reason: str) -> None:
        """Note something that is not as it was signed."""
        self.found += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(place, reason))


@dataclass(slots=True)
class _Read:
    """Entries, and the tiles that they stand in."""

    entries: list[bytes] = field(default_factory=list)
    tiles: dict[Tile, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Auditor:
    """Computes a log again."""

    objects: LogObjects
    key: NoteKey
    rows: Rows | None = None
    kept: Sequence[Checkpoint] = ()
    """Checkpoints of this log that somebody kept, verified."""
    signatures: bool = False
    """Whether the signature in every leaf is checked too."""
    reached: Callable[[int], None] = lambda _leaves: None

    async def run(self) -> Audit:
        """Do all of it, and return what was found."""
        audit = Audit()
        try:
            audit.checkpoint = await self.objects.checkpoint(self.key)  # 1
        except (EvidenceError, CorruptedError) as error:
            audit.find("checkpoint", error.message)
            return audit
        if audit.checkpoint is None:
            await self._without(audit)
            return audit
        await self._compute(audit, audit.checkpoint)
        return audit

    async def _without(self, audit: Audit) -> None:
        """A log that was never published has no tiles, and nobody has a checkpoint of it."""
        if self.kept or await self.objects.reach(0):
            audit.find("checkpoint", "there is none, and there was one")

    async def _compute(self, audit: Audit, checkpoint: Checkpoint) -> None:
        frontier, waiting = Frontier(), self._begun(audit, checkpoint)
        parts = await self.objects.all_parts()
        while frontier.size < checkpoint.size:
            end = min(frontier.size + _TILES_AT_ONCE * WIDTH, checkpoint.size)
            read, rows = await asyncio.gather(
                self._entries(audit, frontier.size, end, checkpoint.size), self._rows(frontier.size, end)
            )
            if read is None:
                return
            hashes = leaf_hashes(read.entries)
            if self.rows is not None and rows != b"".join(hashes):  # 3
                _compare_rows(audit, frontier.size, hashes, dict(await self.rows.each(frontier.size, end)))
            while waiting and waiting[0].size <= end:  # 4
                _compare_kept(audit, frontier, hashes, waiting.pop(0))
            tiles = frontier.extend(hashes)
            await self._compare_tiles(audit, tiles, checkpoint.size)  # 2
            await self._compare_parts(audit, read.tiles | tiles, parts)
            audit.leaves = frontier.size
            self.reached(frontier.size)
        if frontier.root != checkpoint.root:  # 5
            audit.find("checkpoint", "the entries do not lead to the root that is signed")

    def _begun(self, audit: Audit, checkpoint: Checkpoint) -> list[Checkpoint]:
        """The kept checkpoints that the log must begin with, smallest first."""
        for one in self.kept:
            if one.size > checkpoint.size:
                audit.find("checkpoint", f"the log had {one.size} leaves and has {checkpoint.size}")
        begun = [one for one in self.kept if one.size <= checkpoint.size]
        return sorted(begun, key=lambda one: one.size)

    async def _entries(self, audit: Audit, begin: int, end: int, size: int) -> _Read | None:
        """The entries from `begin`, where a tile begins, to before `end`; None where they cannot be read."""
        read = _Read()
        names = [tile_at(None, number, size=size) for number in range(begin // WIDTH, -(-end // WIDTH))]
        for tile, content in zip(names, await self._lying(names), strict=True):
            try:
                read.tiles[tile] = _there(content)
                read.entries += decode_entries(read.tiles[tile], tile.width)
            except (NotFoundError, CorruptedError, EvidenceError) as error:
                audit.find(f"tile {tile.path}", error.message)
                return None
        if self.signatures:
            _check_leaves(audit, begin, read.entries)
        return read

    async def _compare_tiles(self, audit: Audit, tiles: dict[Tile, bytes], size: int) -> None:
        """Those of `tiles` that the log has now; what was a part of them on the way is no more."""
        names = [tile for tile in tiles if tile == tile_at(tile.level, tile.number, size=size)]
        for tile, content in zip(names, await self._lying(names), strict=True):
            try:
                _tell_apart(audit, tile, tiles[tile], _there(content))
            except (NotFoundError, CorruptedError, EvidenceError) as error:
                audit.find(f"tile {tile.path}", error.message)

    async def _compare_parts(self, audit: Audit, tiles: dict[Tile, bytes], parts: Parts) -> None:
        """What older checkpoints need is a part of the tile that came of it."""
        for tile, content in tiles.items():
            # What comes later has the same number and is wider, so each part is met with one that has it.
            names = [one for one in parts.get(tile.full, ()) if one.width < tile.width]
            for one, lying in zip(names, await self._lying(names), strict=True):
                if lying != part_of(content, one):
                    audit.find(f"tile {one.path}", "it is not a part of the tile that came of it")

    async def _lying(self, names: Sequence[Tile]) -> list[bytes | BaseException]:
        """The contents of tiles, or why there is none."""
        found: list[bytes | BaseException] = []
        for start in range(0, len(names), _TILES_AT_ONCE):
            some = map(self.objects.tile, names[start : start + _TILES_AT_ONCE])
            found += await asyncio.gather(*some, return_exceptions=True)
        return found

    async def _rows(self, begin: int, end: int) -> bytes | None:
        return None if self.rows is None else await self.rows.together(begin, end)


def _compare_rows(audit: Audit, begin: int, hashes: list[bytes], known: dict[int, bytes]) -> None:
    """Name the rows that are not those of the entries."""
    for number, hashed in enumerate(hashes, begin):
        if known.get(number) is None:
            audit.find(f"row {number}", "it is missing in the index")
        elif known[number] != hashed:
            audit.find(f"row {number}", "the index has another leaf than the entry of that number")


def _compare_kept(audit: Audit, frontier: Frontier, hashes: list[bytes], kept: Checkpoint) -> None:
    then = frontier.copy()
    then.extend(hashes[: kept.size - frontier.size])
    if then.root != kept.root:
        audit.find(
            "checkpoint", f"the log does not begin with what a checkpoint of {kept.size} leaves told of"
        )


def _check_leaves(audit: Audit, begin: int, entries: list[bytes]) -> None:
    for number, entry in enumerate(entries, begin):
        try:
            Leaf.parse(entry).check()
        except EvidenceError as error:
            audit.find(f"leaf {number}", error.message)


def _there(content: bytes | BaseException) -> bytes:
    """`content`, where something was read.

    Raises:
        BaseException: nothing was; this is why.
    """
    if isinstance(content, BaseException):
        raise content
    return content


def _tell_apart(audit: Audit, tile: Tile, content: bytes, lying: bytes) -> None:
    """Name what differs between a tile as it follows from the entries and as it lies there.

    Raises:
        EvidenceError: what lies there is no tile of that width.
    """
    if lying == content:
        return
    for at, (computed, found) in enumerate(zip(split(content, tile), split(lying, tile), strict=True)):
        if computed == found:
            continue
        if tile.level == 0:
            audit.find(f"leaf {tile.number * WIDTH + at}", "its hash in the tile is not that of its entry")
        else:
            audit.find(f"tile {tile.path}", f"hash {at} does not follow from the tile below it")
