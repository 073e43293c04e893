"""A pack: frames back to back in a file of ours, and what lies in each of them."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from custody.bodies import Content
from custody.trees.manifest import Manifest
from custody.wire import Document

PACK = 32 << 20
"""Packed bytes after which a pack is closed."""

PLAIN = 1 << 30
"""Plain bytes after which a pack is closed, however little they became."""

FILES = 20_000
"""Files after which a pack is closed: what is in it is told, and read, as a whole."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one frame lies in its pack, and the entries whose contents are in it."""

    offset: int
    length: int
    entries: array[int]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack in a file of ours, and what lies in it."""

    path: str
    sha256: str
    size: int
    plain: int
    manifest: Manifest
    places: Sequence[Place]

    @property
    def files(self) -> int:
        """How many contents lie in it."""
        return sum(len(place.entries) for place in self.places)

    @property
    def index(self) -> Document:
        """Say what is in it, as a proposal does. Made when it is needed: it takes forty times the memory."""
        return {"digest": f"sha256:{self.sha256}", "frames": [self._frame(place) for place in self.places]}

    def content(self) -> Content:
        """Return the pack as a body."""
        return Content(self.size, lambda: open(self.path, "rb", buffering=0))

    def _frame(self, place: Place) -> Document:
        raw, sizes = self.manifest.raw, self.manifest.sizes
        files = [[raw(entry).hex(), sizes[entry]] for entry in place.entries]
        return {"offset": place.offset, "length": place.length, "files": files}


class Draft:
    """A pack under way."""

    def __init__(self, spool: str, manifest: Manifest) -> None:
        self.path = f"{spool}/{os.urandom(12).hex()}.pack"
        self.size = 0
        self._manifest = manifest
        self._stream = open(self.path, "xb")  # noqa: SIM115 - closed by `close`
        self._hasher = hashlib.sha256()
        self._places: list[Place] = []
        self._plain = self._files = 0

    @property
    def full(self) -> bool:
        """Whether the next frame belongs into another pack."""
        return self.size >= PACK or self._plain >= PLAIN or self._files >= FILES

    def add(self, entries: array[int], packed: bytes, plain: int) -> None:
        """Append one frame."""
        self._places.append(Place(self.size, len(packed), entries))
        self._stream.write(packed)
        self._hasher.update(packed)
        self.size += len(packed)
        self._plain += plain
        self._files += len(entries)

    def finished(self) -> Pack:
        """Close the pack and say what is in it."""
        self._stream.close()
        sha256 = self._hasher.hexdigest()
        return Pack(self.path, sha256, self.size, self._plain, self._manifest, tuple(self._places))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
