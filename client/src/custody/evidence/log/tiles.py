"""Tiles: the log as files that never change, each with 256 neighbouring hashes or entries.

https://c2sp.org/tlog-tiles. A tile that is not full yet carries its width in its name, so it
never changes either: the next one has another name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from custody.evidence.errors import EvidenceError
from custody.evidence.log.merkle import HASH_BYTES, root_of
from custody.evidence.log.proofs import Part

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAX_ENTRY: Final = (1 << 16) - 1
"""Bytes of one entry; its length is written in two."""
MAX_BUNDLE: Final = WIDTH * (MAX_ENTRY + 2)
_MAX_LEVEL: Final = 7
"""Enough for 2^64 leaves."""
_ENTRIES: Final = "entries"
_PATH: Final = re.compile(
    r"(entries|[0-7])/((?:x[0-9]{3}/){0,6})([0-9]{3})(?:\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
_LENGTH: Final = Struct(">H")


@dataclass(frozen=True, slots=True)
class Tile:
    """The name of a tile: hashes of a level, or entries where `level` is None."""

    level: int | None
    number: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        known = self.level is None or 0 <= self.level <= _MAX_LEVEL
        if not known or not 0 <= self.number < 1000**7 or not 0 < self.width <= WIDTH:
            raise EvidenceError("no such tile")

    @property
    def path(self) -> str:
        """The name as it stands behind `tile/`, for example `0/x001/x234/067.p/5`."""
        digits, number = [f"{self.number % 1000:03d}"], self.number // 1000
        while number:
            digits.append(f"x{number % 1000:03d}")
            number //= 1000
        level = _ENTRIES if self.level is None else str(self.level)
        partial = "" if self.is_full else f".p/{self.width}"
        return f"{level}/{'/'.join(reversed(digits))}{partial}"

    @property
    def is_full(self) -> bool:
        """Whether nothing can be added to it."""
        return self.width == WIDTH

    @property
    def full(self) -> Tile:
        """What becomes of it."""
        return Tile(self.level, self.number)

    @property
    def end(self) -> int:
        """How many leaves the tree has at least that needs this tile."""
        return (self.number * WIDTH + self.width) << (HEIGHT * (self.level or 0))

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a name.

        Raises:
            EvidenceError: no tile is named so.
        """
        found = _PATH.fullmatch(path)
        if found is None:
            raise EvidenceError("not the name of a tile")
        level, high, low, width = found.groups()
        tile = cls(
            None if level == _ENTRIES else int(level),
            int(high.replace("x", "").replace("/", "") + low),
            int(width or WIDTH),
        )
        if tile.path != path:
            raise EvidenceError("a tile has one name")
        return tile


def tile_at(level: int | None, number: int, *, size: int) -> Tile:
    """The tile with that number as a tree of `size` leaves has it.

    Raises:
        EvidenceError: it has none there.
    """
    return Tile(level, number, min(WIDTH, (size >> (HEIGHT * (level or 0))) - number * WIDTH))


def grown(old: int, new: int) -> Iterator[Tile]:
    """The tiles of a tree of `new` leaves that one of `old` leaves does not have; entries first.

    Of those that are full now the levels above are made, so they come later.
    """
    for level in (None, *range(_MAX_LEVEL + 1)):
        before, after = (size >> (HEIGHT * (level or 0)) for size in (old, new))
        if after > before:
            for number in range(before // WIDTH, -(-after // WIDTH)):
                yield tile_at(level, number, size=new)


def edge(size: int) -> list[Tile]:
    """The tiles of a tree of `size` leaves that are not full: entries first, then hashes by level."""
    levels = (None, *range(_MAX_LEVEL + 1))
    return [
        tile_at(level, wide // WIDTH, size=size)
        for level in levels
        if (wide := size >> (HEIGHT * (level or 0))) % WIDTH
    ]


def needed(parts: Sequence[Part], *, size: int) -> set[Tile]:
    """The tiles of a tree of `size` leaves that hold the hashes of a proof."""
    return {_place(level, number, size)[0] for part in parts for level, number in part}


def _place(level: int, number: int, size: int) -> tuple[Tile, int, int]:
    """The tile that a node is folded from, and from which of its hashes on, and how many."""
    tall, low = divmod(level, HEIGHT)
    first = number << low
    return tile_at(tall, first // WIDTH, size=size), first % WIDTH, 1 << low


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of hashes of a tree of `size` leaves, by name."""

    size: int
    contents: dict[Tile, bytes]

    def hash_of(self, level: int, number: int) -> bytes:
        """The hash of a whole subtree.

        Raises:
            EvidenceError: a tile is not as wide as it is named.
        """
        tile, first, many = _place(level, number, self.size)
        return root_of(split(self.contents[tile], tile)[first : first + many])


def split(content: bytes, tile: Tile) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        EvidenceError: they are not as many as its name says.
    """
    if len(content) != tile.width * HASH_BYTES:
        raise EvidenceError("a tile is not as wide as it is named")
    return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Write entries one after the other, each with its length before it.

    Raises:
        EvidenceError: one of them is too long.
    """
    if any(len(entry) > MAX_ENTRY for entry in entries):
        raise EvidenceError(f"an entry of the log is longer than {MAX_ENTRY} bytes")
    return b"".join([_LENGTH.pack(len(entry)) + entry for entry in entries])


def decode_entries(content: bytes, width: int) -> list[bytes]:
    """Read exactly `width` entries.

    Raises:
        EvidenceError: `content` is something else.
    """
    entries, at, end = [], 0, len(content)
    for _ in range(width):
        if at + 2 > end:
            raise EvidenceError("a tile of entries ends too early")
        begin = at + 2
        at = begin + (content[at] << 8 | content[at + 1])
        entries.append(content[begin:at])
    if at != end:
        raise EvidenceError("a tile of entries does not end with its last entry")
    return entries


def part_of(content: bytes, part: Tile) -> bytes:
    """The beginning of a tile as wide as `part`.

    Raises:
        EvidenceError: `content` is no tile of entries.
    """
    if part.level is not None:
        return content[: part.width * HASH_BYTES]
    at = 0
    for _ in range(part.width):
        if at + 2 > len(content):
            raise EvidenceError("a tile of entries ends too early")
        at += 2 + (content[at] << 8 | content[at + 1])
    return content[:at]
