"""Decompression that stops where the format says it must, whatever the frame claims."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from custody.trees.errors import MalformedTreeError

_PIECE = 1 << 20
_WINDOW = 1 << 27


def decoder() -> zstandard.ZstdDecompressor:
    """Return what decodes many small frames, for one thread."""
    return zstandard.ZstdDecompressor(max_window_size=_WINDOW)


def decoded(frame: bytes | memoryview, size: int, by: zstandard.ZstdDecompressor | None = None) -> bytes:
    """Return the `size` bytes that one small frame holds, decoded `by` a decoder that is at hand.

    The library allocates what the header announces, so that is compared first.

    Raises:
        MalformedTreeError: It holds another number of bytes, is damaged, or is followed by more.
    """
    try:
        announced = zstandard.frame_content_size(frame)
        if announced != size:
            raise MalformedTreeError(f"a frame announces {announced} bytes instead of {size}")
        plain = (by or decoder()).decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedTreeError(f"a frame is damaged: {error}") from error
    if len(plain) != size:
        raise MalformedTreeError(f"a frame holds {len(plain)} bytes instead of {size}")
    return plain


def pieces(packed: bytes, *, limit: int) -> Iterator[bytes]:
    """Yield what one large frame holds, piece by piece; never more than `limit` bytes and one piece.

    Raises:
        MalformedTreeError: It is damaged or holds more than `limit` bytes.
    """
    total = 0
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    try:
        with decompressor.stream_reader(io.BytesIO(packed)) as reader:
            while piece := reader.read(_PIECE):
                total += len(piece)
                if total > limit:
                    raise MalformedTreeError(f"more than {limit} bytes are packed into {len(packed)}")
                yield piece
    except zstandard.ZstdError as error:
        raise MalformedTreeError(f"the packed bytes are damaged: {error}") from error


def encode(chunks: Iterator[bytes], into: BinaryIO, *, size: int) -> int:
    """Write `chunks`, of `size` bytes in all, as one frame that says how large it is; return its own size."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=False, write_content_size=True)
    packing = compressor.compressobj(size=size)
    written = sum(map(into.write, map(packing.compress, chunks))) + into.write(packing.flush())
    into.flush()
    return written
