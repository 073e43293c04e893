"""Making a pack here, for those who send files one by one and have only curl."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from artifacts.digest import Digest
from artifacts.limits import KIB, MIB
from artifacts.trees import compression
from artifacts.trees.claims import FileClaim, FrameClaim, PackClaim

_FRAME_TARGET = 256 * KIB
PACK_TARGET = 16 * MIB
"""A pack is closed once it has as many bytes."""


@dataclass(slots=True)
class Packer:
    """Puts contents of 1 byte to 1 MiB into frames, and frames into one pack."""

    _pack: bytearray = field(default_factory=bytearray)
    _frames: list[FrameClaim] = field(default_factory=list)
    _held: list[bytes] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        """Whether the pack should be closed."""
        return len(self._pack) >= PACK_TARGET

    def add(self, content: bytes) -> None:
        """Put `content` into the pack, unless it lies there already."""
        digest = hashlib.sha256(content).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._held.append(content)
        if sum(map(len, self._held)) >= _FRAME_TARGET:
            self._close_frame()

    def _close_frame(self) -> None:
        frame = compression.encode(b"".join(self._held))
        files = tuple(FileClaim(hashlib.sha256(one).digest(), len(one)) for one in self._held)
        self._frames.append(FrameClaim(len(self._pack), len(frame), files))
        self._pack += frame
        self._held.clear()

    def close(self) -> tuple[bytes, PackClaim] | None:
        """The pack and its index, or None where nothing was added; begin the next one."""
        if self._held:
            self._close_frame()
        if not self._frames:
            return None
        pack = bytes(self._pack)
        claim = PackClaim(Digest.of(pack), tuple(self._frames))
        self._pack.clear()
        self._frames.clear()
        self._seen.clear()
        return pack, claim
