"""Making a pack here: for those who send files one by one and have only curl, and of packs that fray."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from artifacts.digest import Digest
from artifacts.limits import KIB, MAX_PACK_CONTENT_BYTES, MIB
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
    _unfolded: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the pack should be closed: by its bytes, or by what a few of them unfold to."""
        return len(self._pack) >= PACK_TARGET or self._unfolded >= MAX_PACK_CONTENT_BYTES // 2

    def add(self, content: bytes) -> None:
        """Put `content` into the pack, unless it lies there already."""
        digest = hashlib.sha256(content).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        self._held.append(content)
        if sum(map(len, self._held)) >= _FRAME_TARGET:
            self._close_frame()

    def keep(self, frame: bytes, files: Sequence[FileClaim]) -> None:
        """Take over a whole frame of another pack as it is; none of `files`, all that is in it, lies here yet."""
        self._seen.update(file.digest for file in files)
        self._append(frame, tuple(files))

    def _close_frame(self) -> None:
        frame = compression.encode(b"".join(self._held))
        self._append(frame, tuple(FileClaim(hashlib.sha256(one).digest(), len(one)) for one in self._held))
        self._held.clear()

    def _append(self, frame: bytes, files: tuple[FileClaim, ...]) -> None:
        self._frames.append(FrameClaim(len(self._pack), len(frame), files))
        self._pack += frame
        self._unfolded += self._frames[-1].size

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
        self._unfolded = 0
        return pack, claim
