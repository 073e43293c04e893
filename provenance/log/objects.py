"""The log as it lies in the object store: its checkpoint, its tiles, and what follows from them.

Nothing that is read here is believed: a checkpoint counts by its signature, tiles by the root.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from artifacts import layout
from artifacts.clock import Clock
from artifacts.errors import CorruptedError, EvidenceError, InvalidInputError, NotFoundError
from artifacts.layout import Key
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.merkle import HASH_BYTES
from provenance.log.notes import MAX_NOTE_BYTES, NoteKey
from provenance.log.proofs import Part, folded, inclusion_parts
from provenance.log.prooftext import LogProof
from provenance.log.tiles import (
    MAX_BUNDLE,
    WIDTH,
    Tile,
    Tiles,
    edge,
    needed,
    part_of,
    tile_at,
)

_AT_ONCE: Final = 16
Parts: TypeAlias = Mapping[Tile, Sequence[Tile]]


@dataclass(frozen=True, slots=True)
class LogObjects:
    """Reads and writes the objects of one log."""

    store: ObjectStore

    async def note(self) -> bytes | None:
        """The newest published checkpoint, or None where none ever was.

        Raises:
            CorruptedError: what lies there is too long for one.
        """
        try:
            return await read_at_most(self.store, layout.log_checkpoint(), MAX_NOTE_BYTES)
        except NotFoundError:
            return None

    async def checkpoint(self, key: NoteKey) -> Checkpoint | None:
        """As `note`, verified.

        Raises:
            EvidenceError: `key` did not sign it.
            CorruptedError: what lies there is too long for one.
        """
        raw = await self.note()
        return None if raw is None else Checkpoint.verified(raw, key)

    async def tile(self, tile: Tile) -> bytes:
        """The content of a tile; where it has become full meanwhile, the part of it that was asked for.

        Raises:
            NotFoundError: there is no such tile.
            EvidenceError: what took its place is no tile.
        """
        try:
            return await read_at_most(self.store, _key(tile), MAX_BUNDLE)
        except NotFoundError:
            if tile.is_full:
                raise
        whole = await read_at_most(self.store, _key(tile.full), MAX_BUNDLE)
        return part_of(whole, tile)

    async def tiles(self, names: Iterable[Tile]) -> dict[Tile, bytes]:
        """The contents of tiles, a few read at a time."""
        wanted = list(names)
        found: dict[Tile, bytes] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            found |= dict(zip(some, await asyncio.gather(*map(self.tile, some)), strict=True))
        return found

    async def frontier(self, checkpoint: Checkpoint) -> Frontier:
        """The right edge of the log as it was at `checkpoint`.

        Raises:
            EvidenceError: the tiles are not those of the checkpoint, or are not there.
        """
        try:
            found = Frontier.of(checkpoint.size, await self.tiles(edge(checkpoint.size)))
        except (NotFoundError, CorruptedError) as error:
            raise EvidenceError("a tile of the log is missing", reason=error.message) from error
        if found.root != checkpoint.root:
            raise EvidenceError("the tiles of the log do not lead to the root of its checkpoint")
        return found

    async def hashes(self, parts: list[Part], *, size: int) -> list[bytes]:
        """The hashes of a proof about a tree of `size` leaves."""
        tiles = Tiles(size, await self.tiles(needed(parts, size=size)))
        return folded(parts, tiles.hash_of)

    async def proof(self, number: int, note: bytes, *, size: int) -> LogProof:
        """That leaf `number` is in the log of the checkpoint `note`, which is of `size` leaves.

        Raises:
            InvalidInputError: it is not.
        """
        hashes = await self.hashes(inclusion_parts(number, size), size=size)
        return LogProof(number, tuple(hashes), note)

    async def last_tile(self, size: int) -> list[bytes]:
        """The hashes of the last leaves of a log of `size` leaves: those of its last tile."""
        tile = tile_at(0, (size - 1) // WIDTH, size=size)
        content = await self.tile(tile)
        return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]

    async def reach(self, size: int) -> int:
        """How many leaves the tiles of hashes at the edge of a log of `size` leaves tell of.

        More than `size` while leaves are being added, or where a checkpoint was put back.
        """
        number = size // WIDTH
        if await self.store.size(_key(Tile(0, number))) is not None:
            return (number + 1) * WIDTH
        return max([size, *(part.end for part in await self.parts_of(Tile(0, number)))])

    async def parts_of(self, tile: Tile) -> list[Tile]:
        """The tiles that are not full with the number of `tile`."""
        found = []
        async for listed in self.store.list(f"{_key(tile.full)}.p/"):
            with contextlib.suppress(InvalidInputError):  # what somebody else put there is no tile
                found.append(Tile.parse(str(listed.key).removeprefix("log/tile/")))
        return sorted(found, key=lambda one: one.width)

    async def all_parts(self) -> Parts:
        """Every tile that is not full, by the one that it is a part of."""
        parts: dict[Tile, list[Tile]] = {}
        async for listed in self.store.list("log/tile/"):
            with contextlib.suppress(InvalidInputError):  # what somebody else put there is no tile
                tile = Tile.parse(str(listed.key).removeprefix("log/tile/"))
                if not tile.is_full:
                    parts.setdefault(tile.full, []).append(tile)
        return parts

    async def write(self, tiles: Mapping[Tile, bytes]) -> None:
        """Write tiles, and make sure that they are what lies there.

        Raises:
            EvidenceError: another tile lies there. It belongs to another log, or was planted.
        """
        names = list(tiles)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            await asyncio.gather(*(self._write(tile, tiles[tile]) for tile in some))

    async def _write(self, tile: Tile, content: bytes) -> None:
        key = _key(tile)
        await self.store.put(key, content)
        if await self.store.read(key) != content:
            raise EvidenceError(
                "another tile lies where one of the log belongs, so nothing is added to it",
                hint="custody-server log audit tells which of the two is damaged",
                tile=tile.path,
            )

    async def publish(self, note: bytes, clock: Clock) -> None:
        """Put a checkpoint in the place of the one before, in one step."""
        staged = await self.store.stage(_whole(note), at=clock.now(), limit=len(note))
        await self.store.replace(staged, layout.log_checkpoint())

    async def prune(self, tiles: Iterable[Tile]) -> None:
        """Remove the tiles that became those of `tiles` that are full; whoever looks for them finds these."""
        for tile in tiles:
            for part in await self.parts_of(tile) if tile.is_full else ():
                await self.store.delete(_key(part))


def _key(tile: Tile) -> Key:
    return layout.log_tile(tile.path)


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
