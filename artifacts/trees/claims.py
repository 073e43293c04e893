"""What a client says of a pack: which files lie in which frame. A claim, until a worker looked.

What can be seen to be wrong without the bytes is refused here, both when the claim
arrives and again when a worker takes it from the index, whose rows it does not trust.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.limits import (
    MAX_FRAME_BYTES,
    MAX_PACK_BYTES,
    MAX_PACK_CONTENT_BYTES,
    MAX_TREE_FILE_BYTES,
)


class FileClaim(NamedTuple):
    """A file in a frame; a tuple, because there are many."""

    digest: bytes
    size: int


@dataclass(frozen=True, slots=True)
class FrameClaim:
    """A frame of a pack; its files lie back to back."""

    offset: int
    length: int
    files: tuple[FileClaim, ...]

    @property
    def size(self) -> int:
        """How much the frame unfolds to."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class PackClaim:
    """A pack: frames back to back, from the first byte to the last.

    Invariant: everything that can be checked without its bytes is so.
    """

    digest: Digest
    frames: tuple[FrameClaim, ...]

    def __post_init__(self) -> None:
        end = 0
        for frame in self.frames:
            if frame.offset != end or frame.length < 1:
                raise self._wrong("its frames do not lie back to back")
            _check_files(self, frame)
            end = frame.offset + frame.length
        if not 0 < end <= MAX_PACK_BYTES:
            raise self._wrong(f"a pack has 1 to {MAX_PACK_BYTES} bytes")
        if sum(frame.size for frame in self.frames) > MAX_PACK_CONTENT_BYTES:
            raise self._wrong(f"its frames hold more than {MAX_PACK_CONTENT_BYTES} bytes")
        digests = [file.digest for frame in self.frames for file in frame.files]
        if len(set(digests)) != len(digests):
            raise self._wrong("a content lies in it twice")

    def _wrong(self, why: str) -> InvalidInputError:
        return InvalidInputError(f"the index of a pack is wrong: {why}", pack=str(self.digest))

    @property
    def size(self) -> int:
        """The size of the pack."""
        return self.frames[-1].offset + self.frames[-1].length

    def to_bytes(self) -> bytes:
        """The claim as it waits in the index, always the same for the same claim."""
        frames = [
            [frame.offset, frame.length, [[file.digest.hex(), file.size] for file in frame.files]]
            for frame in self.frames
        ]
        return orjson.dumps([self.digest.hex, frames])

    @classmethod
    def from_bytes(cls, content: bytes) -> PackClaim:
        """Read what `to_bytes` wrote.

        Raises:
            InvalidInputError: it is no such claim.
        """
        try:
            pack, frames = orjson.loads(content)
            read = [
                (_whole(offset), _whole(length), [(digest, _whole(size)) for digest, size in files])
                for offset, length, files in frames
            ]
            return cls.of(Digest("sha256", pack), read)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInputError("not a claim about a pack") from error

    @classmethod
    def of(cls, digest: Digest, frames: Iterable[tuple[int, int, Iterable[tuple[str, int]]]]) -> PackClaim:
        """Take a claim as requests carry it: frames of offset, length and files (hex, size).

        Raises:
            InvalidInputError: it cannot be right.
        """
        return cls(digest, tuple(_frame(*frame) for frame in frames))


def _check_files(pack: PackClaim, frame: FrameClaim) -> None:
    for file in frame.files:
        if not 0 < file.size <= MAX_TREE_FILE_BYTES:
            raise InvalidInputError(
                f"a file in a frame has 1 to {MAX_TREE_FILE_BYTES} bytes",
                hint="upload larger ones as blobs; empty ones lie nowhere",
                pack=str(pack.digest),
                size=file.size,
            )
    if not 0 < frame.size <= MAX_FRAME_BYTES:
        raise InvalidInputError(f"a frame holds 1 to {MAX_FRAME_BYTES} bytes", pack=str(pack.digest))


def _frame(offset: int, length: int, files: Iterable[tuple[str, int]]) -> FrameClaim:
    return FrameClaim(offset, length, tuple(FileClaim(checked_hex(digest), size) for digest, size in files))


def checked_hex(text: str) -> bytes:
    """The 32 bytes that `text`, 64 lower-case hex digits, stands for.

    Raises:
        InvalidInputError: it does not.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32 or raw.hex() != text:
        raise InvalidInputError("a content is named by 64 lower-case hex digits", given=text[:80])
    return raw


def _whole(number: object) -> int:
    if type(number) is not int:
        raise TypeError("not a whole number")
    return number
