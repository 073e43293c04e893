"""The output of a step, kept for the record: redacted, bounded, in the order it came."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import deque
from collections.abc import Callable
from typing import BinaryIO, Protocol

from custody.bodies import Content

MAX_LOG = 16 * 1024 * 1024
"""Bytes of output that are kept; of more, the beginning and the end."""

MAX_LINE = 64 * 1024
"""Bytes of a line without end that are held back; a longer one may be cut by the other stream."""

_PIECE = 4096
_BLOCK_BEGINS, _BLOCK_ENDS = b"-----BEGIN", b"-----END"


class Masking(Protocol):
    """Takes secrets out of a stream; see `custody.capture.redaction.Redactor`."""

    def feed(self, piece: bytes, /) -> bytes:
        """Take in `piece` and return what is certain by now."""

    def flush(self) -> bytes:
        """Return the rest."""


class StepLog:
    """Everything a step wrote, first half and last half if it was too much.

    Secrets are masked before anything is kept, and nothing reaches the disk. Whole lines of
    both streams go through one mask, in the order in which they were written.
    Safe for the two threads that read standard output and standard error.
    """

    def __init__(self, mask: Masking, *, limit: int = MAX_LOG) -> None:
        self._mask = mask
        self._half = limit // 2
        self._lock = threading.Lock()
        # In memory, because a full disk must not become a broken pipe of the command.
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def stream(self) -> LineBuffer:
        """Return a writer for one of the step's streams."""
        return LineBuffer(self._keep)

    def content(self) -> tuple[Content, str]:
        """Return what was kept and its sha256 in hex; nothing may be written afterwards."""
        self._store(self._mask.flush())
        written = b"".join((self._head, self._marker(), *self._tail))
        opened: Callable[[], BinaryIO] = lambda: io.BytesIO(written)  # noqa: E731 - the type is needed
        return Content(len(written), opened), hashlib.sha256(written).hexdigest()

    def close(self) -> None:
        """Forget everything."""
        self._head.clear()
        self._tail.clear()

    def _marker(self) -> bytes:
        if not self._dropped:
            return b""
        return b"\n[custody: %d bytes of output were left out here]\n" % self._dropped

    def _keep(self, line: bytes) -> None:
        with self._lock:
            self._store(self._mask.feed(line))

    def _store(self, masked: bytes) -> None:
        for start in range(0, len(masked), _PIECE):
            piece = masked[start : start + _PIECE]
            if not self._tail and (room := self._half - len(self._head)) > 0:
                self._head += piece[:room]
                piece = piece[room:]
            if piece:
                self._tail.append(piece)
                self._tail_size += len(piece)
        self._trim()

    def _trim(self) -> None:
        while self._tail_size > self._half:
            surplus = self._tail_size - self._half
            oldest = self._tail.popleft()
            if len(oldest) > surplus:
                self._tail.appendleft(oldest[surplus:])
            dropped = min(surplus, len(oldest))
            self._tail_size -= dropped
            self._dropped += dropped


class LineBuffer:
    """Collects one stream into whole lines, and PEM blocks into whole blocks.

    Otherwise a line of the other stream could come between the halves of a secret.
    """

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        self._rest = bytearray()

    def write(self, chunk: bytes) -> None:
        """Take in a chunk; hand on what is complete."""
        searched = len(self._rest)
        self._rest += chunk
        end = self._rest.rfind(b"\n", searched) + 1
        begins = self._rest.rfind(_BLOCK_BEGINS, 0, end)
        if begins >= 0 and self._rest.find(_BLOCK_ENDS, begins, end) < 0:
            end = begins
        if len(self._rest) - end > MAX_LINE:
            end = len(self._rest)
        if end:
            self._keep(bytes(self._rest[:end]))
            del self._rest[:end]

    def end(self) -> None:
        """Hand on what has no end."""
        if self._rest:
            self._keep(bytes(self._rest))
            self._rest.clear()
