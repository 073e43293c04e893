"""Reading a layout back, strictly; what it says of a frame is a claim until the frame was decoded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError
from artifacts.limits import MAX_FRAME_BYTES, MAX_MANIFEST_BYTES, MAX_PACK_BYTES
from artifacts.trees.compression import FrameReader
from artifacts.trees.layout import HEADER

_PACK: Final = re.compile(rb"p ([0-9a-f]{64}) (\d{1,12})")
_FRAME: Final = re.compile(rb"r (\d{1,9}) (\d{1,12}) (\d{1,12}) (\d{1,12})")
_ENTRY: Final = re.compile(rb"(\d{1,7}) (\d{1,12})")


@dataclass(frozen=True, slots=True)
class LaidFrame:
    """A frame, and the entries that are said to lie in it: (number, start)."""

    pack: bytes
    pack_size: int
    offset: int
    length: int
    size: int
    inside: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not (
            self.size <= MAX_FRAME_BYTES and self.offset + self.length <= self.pack_size <= MAX_PACK_BYTES
        ):
            raise CorruptedError("the layout names a frame that no pack has")


def unfolded(frame: bytes) -> bytes:
    """The text of a layout from its one zstd frame.

    Raises:
        CorruptedError: it is no such frame.
    """
    reader = FrameReader(limit=MAX_MANIFEST_BYTES, length=len(frame))
    try:
        text = b"".join(reader.feed(frame))
        reader.finish()
    except InvalidInputError as error:
        raise CorruptedError("the stored layout is damaged") from error
    return text


def frames_of(text: bytes, tree: Digest) -> list[LaidFrame]:
    """The frames of the layout `text` of `tree`.

    Raises:
        CorruptedError: it is not the layout of `tree`.
    """
    first, *lines = text.split(b"\n")
    if first != f"{HEADER} {tree.hex}".encode() or not lines or lines.pop() != b"":
        raise CorruptedError("the stored layout is of another tree")
    packs: list[tuple[bytes, int]] = []
    frames: list[LaidFrame] = []
    for line in lines:
        if pack := _PACK.fullmatch(line):
            packs.append((bytes.fromhex(pack[1].decode()), int(pack[2])))
        elif frame := _FRAME.fullmatch(line):
            frames.append(_frame(packs, [int(number) for number in frame.groups()]))
        elif (entry := _ENTRY.fullmatch(line)) and frames:
            frames[-1].inside.append((int(entry[1]), int(entry[2])))
        else:
            raise CorruptedError("the stored layout has a line that no layout has")
    return frames


def _frame(packs: Sequence[tuple[bytes, int]], numbers: Sequence[int]) -> LaidFrame:
    number, offset, length, size = numbers
    if number >= len(packs):
        raise CorruptedError("the layout names a pack that it does not list")
    pack, pack_size = packs[number]
    return LaidFrame(pack, pack_size, offset, length, size)
