"""The output of a step, kept for the record: redacted, bounded, in the order it came."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import deque
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from custody.transport import Content

MAX_LOG = 16 * 1024 * 1024
"""Bytes of output that are kept; of more, the beginning and the end."""

MAX_LINE = 64 * 1024
"""Bytes that are redacted together; a longer line is cut here."""

_IN_MEMORY = 1024 * 1024

Redact = Callable[[bytes], bytes]


class StepLog:
    """Everything a step wrote, first half and last half if it was too much.

    Lines are redacted before they are kept, so a secret never reaches the disk.
    Safe for the two threads that read standard output and standard error.
    """

    def __init__(self, redact: Redact, *, limit: int = MAX_LOG) -> None:
        self._redact = redact
        self._half = limit // 2
        self._lock = threading.Lock()
        # Not a `with`: the file lives as long as the log, and `close` ends both.
        self._head: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - see above
        self._head_size = 0
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def stream(self) -> LineBuffer:
        """Return a writer for one of the step's streams."""
        return LineBuffer(self._keep)

    def content(self) -> tuple[Content, str]:
        """Return what was kept and its sha256 in hex."""
        self._head.seek(0)
        written = self._head.read() + self._marker() + b"".join(self._tail)
        opened: Callable[[], BinaryIO] = lambda: io.BytesIO(written)  # noqa: E731 - the type is needed
        return Content(len(written), opened), hashlib.sha256(written).hexdigest()

    def close(self) -> None:
        """Forget everything."""
        self._head.close()
        self._tail.clear()

    def _marker(self) -> bytes:
        if not self._dropped:
            return b""
        return b"\n[custody: %d bytes of output were left out here]\n" % self._dropped

    def _keep(self, line: bytes) -> None:
        redacted = self._redact(line)
        with self._lock:
            if self._head_size + len(redacted) <= self._half and not self._tail:
                self._head.write(redacted)
                self._head_size += len(redacted)
                return
            self._tail.append(redacted)
            self._tail_size += len(redacted)
            while self._tail_size > self._half:
                oldest = self._tail.popleft()
                self._tail_size -= len(oldest)
                self._dropped += len(oldest)


class LineBuffer:
    """Collects one stream into whole lines, so that no secret is split between two chunks."""

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep = keep
        self._rest = bytearray()

    def write(self, chunk: bytes) -> None:
        """Take in a chunk; hand on the lines it completes."""
        self._rest += chunk
        while (end := self._rest.find(b"\n") + 1) or len(self._rest) >= MAX_LINE:
            size = end if 0 < end <= MAX_LINE else MAX_LINE
            self._keep(bytes(self._rest[:size]))
            del self._rest[:size]

    def end(self) -> None:
        """Hand on a last line that has no end."""
        if self._rest:
            self._keep(bytes(self._rest))
            self._rest.clear()
