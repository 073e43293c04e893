"""The layout of a tree, `custody-layout/v1`: where the content of each entry lies.

Only a worker writes one, from locations it has seen itself. Whoever reads it still
hashes every file against the manifest.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from artifacts.digest import Digest

HEADER: Final = "custody-layout/v1"


class Frame(NamedTuple):
    """A frame of a pack, in the order in which a layout lists them."""

    pack: bytes
    offset: int
    length: int
    size: int


_ENTRY_BITS: Final = 20
_ENTRY: Final = 2**_ENTRY_BITS - 1


class Frames(dict[Frame, "array[int]"]):
    """The entries that lie in each frame, in eight bytes an entry: there may be a million."""

    def put(self, frame: Frame, *, start: int, entry: int) -> None:
        """Note that the entry with this number lies at `start` of the content of `frame`."""
        inside = self.get(frame)
        if inside is None:
            inside = self[frame] = array("Q")
        inside.append(start << _ENTRY_BITS | entry)


def write(manifest: Digest, frames: Frames, packs: Mapping[bytes, int]) -> Iterator[bytes]:
    """The lines of a layout; `packs` has the size of each pack.

    Packs come in order of their digests, frames in order of their offsets, entries in
    order of where they lie, so that one tree over the same packs has one layout.
    """
    used = sorted({frame.pack for frame in frames})
    yield f"{HEADER} {manifest.hex}\n".encode()
    for pack in used:
        yield f"p {pack.hex()} {packs[pack]}\n".encode()
    numbers = {pack: number for number, pack in enumerate(used)}
    for frame in sorted(frames):
        yield f"r {numbers[frame.pack]} {frame.offset} {frame.length} {frame.size}\n".encode()
        inside = sorted(frames[frame])
        yield b"".join(b"%d %d\n" % (place & _ENTRY, place >> _ENTRY_BITS) for place in inside)
