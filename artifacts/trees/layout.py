"""The layout of a tree, `custody-layout/v1`: where the content of each entry lies.

Only a worker writes one, from locations it has seen itself. Whoever reads it still
hashes every file against the manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from artifacts.digest import Digest

HEADER: Final = "custody-layout/v1"


class Placed(NamedTuple):
    """An entry of the manifest, by number, and where its content lies."""

    pack: bytes
    frame_offset: int
    frame_length: int
    frame_size: int
    start: int
    entry: int


def write(manifest: Digest, placed: Iterable[Placed], packs: dict[bytes, int]) -> Iterator[bytes]:
    """The lines of a layout; `packs` has the size of each pack.

    Packs come in order of their digests, frames in order of their offsets, entries in
    order of where they lie, so that one tree over the same packs has one layout.
    """
    ordered = sorted(placed)
    used = sorted({place.pack for place in ordered})
    yield f"{HEADER} {manifest.hex}\n".encode()
    for pack in used:
        yield f"p {pack.hex()} {packs[pack]}\n".encode()
    numbers = {pack: number for number, pack in enumerate(used)}
    for (pack, offset, length, size), inside in groupby(ordered, key=lambda place: place[:4]):
        yield f"r {numbers[pack]} {offset} {length} {size}\n".encode()
        yield b"".join(b"%d %d\n" % (place.entry, place.start) for place in inside)
