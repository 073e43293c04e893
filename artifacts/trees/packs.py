"""Looking into a pack: every frame decoded, every file hashed, or nothing of it counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from artifacts.errors import CustodyError, EvidenceError
from artifacts.trees import compression
from artifacts.trees.claims import FrameClaim, PackClaim
from artifacts.trees.manifest import MAX_TARGET


class Location(NamedTuple):
    """Where the content of a file was seen to lie; a tuple, because there are many."""

    digest: bytes
    pack: bytes
    frame_offset: int
    frame_length: int
    frame_size: int
    start: int
    size: int
    linkable: bool
    """Whether it can be the target of a link: 1 to 4095 bytes, none of them NUL."""


def located(pack: bytes, claim: PackClaim) -> list[Location]:
    """Where each file of `claim` lies in the bytes `pack`, every one of them hashed.

    Raises:
        EvidenceError: something is not as claimed; then nothing of the pack counts, for who
            lies about one file is not believed about its neighbours.
    """
    if hashlib.sha256(pack).hexdigest() != claim.digest.hex:
        raise EvidenceError("the pack has other bytes than its digest", pack=str(claim.digest))
    if len(pack) != claim.size:
        raise EvidenceError("the pack is not as long as its frames", pack=str(claim.digest))
    found: list[Location] = []
    for frame in claim.frames:
        found.extend(_in_frame(pack[frame.offset : frame.offset + frame.length], frame, claim))
    return found


def _in_frame(raw: bytes, frame: FrameClaim, claim: PackClaim) -> Iterator[Location]:
    try:
        content = compression.decode(raw, size=frame.size)
    except CustodyError as error:
        raise EvidenceError(
            f"a frame of the pack is refused: {error.message}", pack=str(claim.digest), offset=frame.offset
        ) from error
    start = 0
    for file in frame.files:
        piece = content[start : start + file.size]
        if hashlib.sha256(piece).digest() != file.digest:
            raise EvidenceError(
                "a frame holds other bytes than claimed", pack=str(claim.digest), file=file.digest.hex()
            )
        linkable = file.size <= MAX_TARGET and b"\0" not in piece
        place = (claim.digest.raw, frame.offset, frame.length, len(content), start)
        yield Location(file.digest, *place, file.size, linkable)
        start += file.size
