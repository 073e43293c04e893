"""Where frames and large files come from: this machine's store, or else the service.

Whoever is handed bytes here hashes them. What the store had wrong is dropped and
asked from the service; what the service has wrong ends the work.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import Lock

from custody.errors import UnreachableError
from custody.nodestore.store import NodeStore
from custody.trees.frames_kept import KeptFrames, keep
from custody.trees.layout import Frame
from custody.trees.writing import WrongBytesError
from custody.trees.zstd import decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPResponse

    from custody.trees.direct import Direct

WINDOW = 1 << 20
"""Frames that begin within so many bytes of a pack are asked for together."""

_GAP = 64 << 10
_CHUNK = 1 << 20
_ATTEMPTS = 4

Take = Callable[[Frame, bytes | memoryview], object]


class Supply:
    """One thread's way to the bytes of one project."""

    def __init__(
        self, connect: Callable[[], Direct], store: NodeStore | None, turn: Lock | None = None
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            connect: Makes a way to blobs, over connections of this thread's own.
            store: What this machine keeps.
            turn: Held while frames are handed over. Threads that share one wait here, and
                for bytes, but never for the interpreter: between short system calls they
                would take it from each other thousands of times.
        """
        self._connect = connect
        self._connected: Direct | None = None
        self._store = store
        self._turn = turn or Lock()
        self.decoder = decoder()

    def close(self) -> None:
        """Drop the connections."""
        if self._connected is not None:
            self._connected.close()

    @property
    def _remote(self) -> Direct:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def frames(self, pack: str, frames: Sequence[Frame], take: Take) -> None:
        """Hand over the bytes of `frames`, all of one window of one pack, each once.

        (1) What the store has is taken from there. (2) The rest is fetched by one process
        of this machine at a time, (3) so another may have brought it meanwhile.

        Raises:
            WrongBytesError: The service sent bytes that `take` refuses.
            UnreachableError: The service does not answer.
        """
        missing = self._from_store(pack, frames, take)  # (1)
        if not missing:
            return
        with self._alone(f"{pack}-{missing[0].offset // WINDOW}"):  # (2)
            for run in runs(self._from_store(pack, missing, take)):  # (3)
                self._fetch(pack, run, take)

    def large(self, sha256: str, size: int, target: int) -> None:
        """Write the `size` bytes of a blob to the open, empty file `target`, hashed on the way.

        Raises:
            WrongBytesError: The service sent other bytes.
            UnreachableError: The service does not answer.
        """
        if self._copied(sha256, size, target):
            return
        with self._alone(sha256):
            if not self._copied(sha256, size, target):
                self._download(sha256, size, target)
                if self._store is not None:
                    self._store.keep_copy(f"blobs/{sha256}", target, size)

    def _from_store(self, pack: str, frames: Sequence[Frame], take: Take) -> list[Frame]:
        """Hand over what the store has right, and return the frames it has not."""
        if self._store is None:
            return list(frames)
        kept = KeptFrames(self._store, pack)
        missing: list[Frame] = []
        with self._turn:
            for frame, packed in kept.read(frames):
                try:
                    if packed is not None:
                        take(frame, packed)
                        continue
                    kept.drop(frame)
                except WrongBytesError:
                    kept.drop(frame)
                missing.append(frame)
        return missing

    def _fetch(self, pack: str, run: list[Frame], take: Take) -> None:
        """Fetch frames that lie close together, and hand them over.

        What the object store has wrong is asked from the service.
        """
        left = run
        while left:
            before = self._remote.referred
            received = self._received(pack, left)
            with self._turn:
                taken = _take_in(received, take, doubtful=self._remote.referred > before)
                if self._store is not None:
                    right = [(frame.offset, packed) for frame, packed in received[:taken]]
                    keep(self._store, pack, right)
            left = left[taken:]
            if left:
                self._remote.doubt()

    def _received(self, pack: str, run: list[Frame]) -> list[tuple[Frame, bytes]]:
        """Fetch frames that lie close together; a connection that breaks is made again."""
        left = list(run)
        received: list[tuple[Frame, bytes]] = []

        def receive() -> None:
            at = left[0].offset
            with self._remote.blob(pack, start=at, end=left[-1].offset + left[-1].length) as response:
                while left:
                    frame = left[0]
                    _read(response, frame.offset - at)
                    received.append((frame, _read(response, frame.length)))
                    at = frame.offset + frame.length
                    left.pop(0)

        _persistently(receive)
        return received

    def _copied(self, sha256: str, size: int, target: int) -> bool:
        """Copy a large file out of the store; whether that was there, and right."""
        source = None if self._store is None else self._store.open(f"blobs/{sha256}")
        if source is None:
            return False
        hasher = hashlib.sha256()
        try:
            for piece in _pieces(source, size):
                hasher.update(piece)
                _write_all(target, piece)
        finally:
            os.close(source)
        if hasher.hexdigest() == sha256 and os.fstat(target).st_size == size:
            return True
        if self._store is not None:
            self._store.drop(f"blobs/{sha256}")
        _empty(target)
        return False

    def _download(self, sha256: str, size: int, target: int) -> None:
        """Fetch a large file; what the object store has wrong is asked from the service."""
        before = self._remote.referred
        found = self._received_whole(sha256, size, target)
        if found != sha256 and self._remote.referred > before:
            self._remote.doubt()
            _empty(target)
            found = self._received_whole(sha256, size, target)
        if found != sha256:
            raise WrongBytesError(f"the service sent sha256:{found} for sha256:{sha256}")

    def _received_whole(self, sha256: str, size: int, target: int) -> str:
        """Write what is sent as a blob to `target`, and return its sha256."""
        hasher = hashlib.sha256()
        at = 0

        def receive() -> None:
            nonlocal at
            with self._remote.blob(sha256, start=at) as response:
                while at < size:
                    piece = _read(response, min(_CHUNK, size - at))
                    hasher.update(piece)
                    _write_all(target, piece)
                    at += len(piece)

        _persistently(receive)
        return hasher.hexdigest()

    def _alone(self, name: str) -> AbstractContextManager[None]:
        return nullcontext() if self._store is None else self._store.alone(name)


def runs(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Yield frames of one pack in groups that are worth one request each, in order."""
    found: list[Frame] = []
    for frame in sorted(frames, key=lambda one: one.offset):
        if found and not 0 <= frame.offset - found[-1].offset - found[-1].length <= _GAP:
            yield found
            found = []
        found.append(frame)
    if found:
        yield found


def _take_in(received: Sequence[tuple[Frame, bytes]], take: Take, *, doubtful: bool) -> int:
    """Hand over frames, and return how many: all of them, or those before a wrong one that is `doubtful`."""
    for number, (frame, packed) in enumerate(received):
        try:
            take(frame, packed)
        except WrongBytesError:
            if not doubtful:
                raise
            return number
    return len(received)


class _BrokenOffError(Exception):
    """The answer ended before its end."""


def _persistently(receive: Callable[[], None]) -> None:
    """Call `receive` until the answer did not break off."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return receive()
        except _BrokenOffError as error:
            if attempt == _ATTEMPTS:
                raise UnreachableError("the download broke off again and again") from error
    return None


def _read(response: HTTPResponse, size: int) -> bytes:
    from http.client import HTTPException

    try:
        found = response.read(size) if size else b""
    except (OSError, HTTPException) as error:
        raise _BrokenOffError(str(error)) from error
    if len(found) != size:
        raise _BrokenOffError("the answer ended early")
    return found


def _pieces(source: int, size: int) -> Iterator[bytes]:
    """Yield what the open file holds, at most one byte more than `size`."""
    left = size + 1
    while left and (piece := os.read(source, min(_CHUNK, left))):
        left -= len(piece)
        yield piece


def _write_all(target: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(target, left) :]


def _empty(target: int) -> None:
    os.ftruncate(target, 0)
    os.lseek(target, 0, os.SEEK_SET)
