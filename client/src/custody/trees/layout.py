"""The layout of a tree, `custody-layout/v1`: a claim about where its bytes lie.

It is read as bounded text and believed in nothing: what it leads to is hashed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import add
from typing import NamedTuple

from custody.trees.errors import MalformedTreeError
from custody.trees.manifest import FOLDER, LINK, Manifest

SMALL = 1 << 20
"""Contents up to this size lie in frames; larger files are blobs of their own."""

FRAME = 256 << 10
"""Plain bytes after which a frame is closed."""

MAX_FRAME = SMALL + FRAME
MAX_PACK = 64 << 20
MAX_LAYOUT = 512 << 20

# Possessive: what could be given back takes 170 MiB a million lines, and no line can be read otherwise.
_HEAD = re.compile(rb"custody-layout/v1 ([0-9a-f]{64})\n((?:p [0-9a-f]{64} [0-9]{1,12}\n)*+)")
_BODY = re.compile(rb"(?:r(?: [0-9]{1,12}){4}\n(?:[0-9]{1,7} [0-9]{1,7}\n)*+)*+")


class Frame(NamedTuple):
    """One independent piece of a pack, and which entries lie in it at which offsets."""

    pack: int
    offset: int
    length: int
    plain: int
    entries: array[int]
    offsets: array[int]


class Layout(NamedTuple):
    """The packs of a tree, the frames used of them, and the entries that are blobs of their own."""

    packs: tuple[str, ...]
    frames: tuple[Frame, ...]
    blobs: array[int]


def parse(text: bytes, manifest: Manifest) -> Layout:
    """Read the layout of `manifest`.

    Raises:
        MalformedTreeError: It is malformed, is the layout of another tree, leaves out
            a file or names one twice.
    """
    head = _HEAD.match(text)
    if head is None or head[1] != manifest.sha256.encode():
        raise MalformedTreeError("not the layout of this tree")
    if _BODY.fullmatch(text, head.end()) is None:
        raise MalformedTreeError("the layout is malformed")
    packs = [line.split() for line in head[2].splitlines()]
    sizes = [int(size) for _, _, size in packs]
    if any(size > MAX_PACK for size in sizes):
        raise MalformedTreeError("the layout names a pack of an impossible size")
    blocks = text[head.end() :].split(b"r ")[1:]
    frames = tuple(_frame(block, sizes, manifest) for block in blocks)
    return Layout(tuple(pack.decode() for _, pack, _ in packs), frames, _rest(frames, manifest))


def _frame(block: bytes, packs: list[int], manifest: Manifest) -> Frame:
    numbers = list(map(int, block.split()))
    pack, offset, length, plain = numbers[:4]
    entries, offsets = array("I", numbers[4::2]), array("I", numbers[5::2])
    if pack >= len(packs) or offset + length > packs[pack] or not 0 < length <= 2 * MAX_FRAME:
        raise MalformedTreeError("the layout names a frame outside its pack")
    if plain > MAX_FRAME:
        raise MalformedTreeError("the layout names a frame that is too large")
    if entries and max(entries) >= len(manifest):
        raise MalformedTreeError("the layout names an entry that the tree does not have")
    if max(map(add, offsets, map(manifest.sizes.__getitem__, entries)), default=0) > plain:
        raise MalformedTreeError("the layout names a file outside its frame")
    return Frame(pack, offset, length, plain, entries, offsets)


def _rest(frames: Iterable[Frame], manifest: Manifest) -> array[int]:
    """Return the entries that are blobs of their own."""
    placed = bytearray(len(manifest))
    for entry in chain.from_iterable(frame.entries for frame in frames):
        if placed[entry]:
            raise MalformedTreeError("the layout places an entry twice")
        placed[entry] = 1
    blobs = array("I")
    for entry in _zeros(placed):
        size, kind = manifest.sizes[entry], manifest.kinds[entry]
        if kind == FOLDER or size == 0:
            continue
        if size <= SMALL or kind == LINK:
            path = manifest.paths[entry][:200]
            raise MalformedTreeError(f"the layout does not say where {path!r} lies")
        blobs.append(entry)
    return blobs


def _zeros(marks: bytearray) -> Iterator[int]:
    """Yield the places of all zeros: usually there are few, and they are found without a look at the rest."""
    at = marks.find(0)
    while at >= 0:
        yield at
        at = marks.find(0, at + 1)
