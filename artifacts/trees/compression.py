"""One zstd frame at a time, with a bound on everything it may unfold to (threats S16).

A frame states its content size in its header and is decoded into exactly that much.
Dictionaries, skippable frames, bytes after the frame and sizes that lie are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import zstandard

from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.limits import MAX_FRAME_BYTES, MIB

LEVEL: Final = 3
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_HEADER: Final = 18
_SMALL_WINDOW: Final = 2 * MIB
_LARGE_WINDOW: Final = 8 * MIB
# Four bytes can unfold to a block of 128 KiB, so this much at once makes 16 MiB at most.
_SLICE: Final = 512
_RATIO: Final = 1000


def encode(content: bytes, *, level: int = LEVEL) -> bytes:
    """One frame of `content`, with its size in the header and without a checksum."""
    return zstandard.ZstdCompressor(level=level, write_checksum=False).compress(content)


def decode(frame: bytes, *, size: int) -> bytes:
    """The content of exactly one small frame that unfolds to exactly `size` bytes.

    Raises:
        InvalidInputError: it is anything else.
        LimitExceededError: that is too much for a frame.
    """
    if size > MAX_FRAME_BYTES:
        raise LimitExceededError(f"a frame unfolds to at most {MAX_FRAME_BYTES} bytes")
    _check_header(frame, window=_SMALL_WINDOW, size=size)
    try:
        content = zstandard.ZstdDecompressor(max_window_size=_SMALL_WINDOW).decompress(
            frame, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise InvalidInputError("the frame cannot be decoded", reason=str(error)[:200]) from error
    if len(content) != size:
        raise InvalidInputError("the frame unfolds to another size than claimed")
    return content


def frames(pack: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames that lie back to back in `pack`, each as where it begins and what it unfolds to.

    Raises:
        InvalidInputError: it is not made of honest frames.
        LimitExceededError: one unfolds to too much.
    """
    offset = 0
    while offset < len(pack):
        size = _check_header(pack[offset : offset + _HEADER], window=_SMALL_WINDOW)
        if size > MAX_FRAME_BYTES:
            raise LimitExceededError(f"a frame unfolds to at most {MAX_FRAME_BYTES} bytes")
        decoder = zstandard.ZstdDecompressor(max_window_size=_SMALL_WINDOW).decompressobj()
        begin, unfolded, length = offset, [], 0
        while not decoder.eof:
            piece = pack[offset : offset + _SLICE]
            try:
                unfolded.append(decoder.decompress(piece))
            except zstandard.ZstdError as error:
                raise InvalidInputError("a frame cannot be decoded", reason=str(error)[:200]) from error
            length += len(unfolded[-1])
            if not piece or length > size:
                raise InvalidInputError("a frame is cut short, or unfolds to more than it states")
            offset += len(piece) - len(decoder.unused_data)
        yield begin, b"".join(unfolded)


def _check_header(frame: bytes, *, window: int, size: int | None = None) -> int:
    """The content size in the header; refuse what no honest writer makes."""
    if frame[:4] != _MAGIC:
        raise InvalidInputError("not a zstd frame")
    try:
        found = zstandard.get_frame_parameters(frame[:_HEADER])
    except zstandard.ZstdError as error:
        raise InvalidInputError("the frame has no whole header") from error
    if found.dict_id:
        raise InvalidInputError("the frame needs a dictionary")
    if found.content_size in {zstandard.CONTENTSIZE_UNKNOWN, zstandard.CONTENTSIZE_ERROR}:
        raise InvalidInputError("the frame does not state its size")
    if size is not None and found.content_size != size:
        raise InvalidInputError("the frame states another size than claimed")
    # One segment has the size of its content as window, which the size itself bounds.
    if found.window_size > window and found.window_size > found.content_size:
        raise LimitExceededError(f"the frame needs a window of more than {window} bytes")
    return int(found.content_size)


class FrameReader:
    """Decodes one long frame as it arrives, in bounded memory and in pieces of bounded size."""

    def __init__(self, *, limit: int, length: int | None = None) -> None:
        """Expect one frame that unfolds to at most `limit`; it has `length` bytes, where that is known."""
        self._limit = limit
        self._length = length
        self._head = b""
        self._size: int | None = None
        self._read = 0
        self._taken = 0
        self._given = 0
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_LARGE_WINDOW).decompressobj()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What `piece` adds to the content.

        Raises:
            InvalidInputError: not one honest frame.
            LimitExceededError: it would unfold to too much.
        """
        self._taken += len(piece)
        if self._size is None:
            self._head += piece
            if len(self._head) < _HEADER and self._taken != self._length:
                return
            self._size = self._checked_size()
            piece, self._head = self._head, b""
        for start in range(0, len(piece), _SLICE):
            self._given += min(_SLICE, len(piece) - start)
            yield self._decoded(piece[start : start + _SLICE])

    def _checked_size(self) -> int:
        size = _check_header(self._head, window=_LARGE_WINDOW)
        if size > self._limit:
            raise LimitExceededError(
                f"the frame unfolds to {size} bytes, which is too much", limit=self._limit
            )
        return size

    def _decoded(self, piece: bytes) -> bytes:
        if self._decoder.eof:
            raise InvalidInputError("there are bytes after the frame")
        try:
            content = self._decoder.decompress(piece)
        except zstandard.ZstdError as error:
            raise InvalidInputError("the frame cannot be decoded", reason=str(error)[:200]) from error
        self._read += len(content)
        if self._size is None or self._read > self._size:
            raise InvalidInputError("the frame unfolds to more than it states")
        if self._read > _RATIO * self._given + MIB:
            raise LimitExceededError(f"the frame unfolds to more than {_RATIO} times its length")
        if self._decoder.unused_data:
            raise InvalidInputError("there are bytes after the frame")
        return content

    def finish(self) -> None:
        """Make sure the frame has ended.

        Raises:
            InvalidInputError: it has not.
        """
        if self._size is None or not self._decoder.eof or self._read != self._size:
            raise InvalidInputError("the frame is cut short")
