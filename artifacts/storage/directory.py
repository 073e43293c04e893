"""A directory as object store: tests, laptops, single nodes.

The same promises as any other back end. A file is written under `staging/`, forced to
the disk, and linked to its final name, which cannot replace an existing one; then the
directory is forced to the disk. All paths are opened relative to one descriptor of the
root and links are never followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import (
    CorruptedError,
    CustodyError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
)
from artifacts.identifiers import new_ulid
from artifacts.layout import Key
from artifacts.storage.durable import make_directories, sync, sync_directory
from artifacts.storage.protocol import Listed, Staged
from artifacts.storage.walking import walk

_CHUNK = 1 << 20
_THREADS = 8
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
_DENIED = {errno.EACCES, errno.EPERM}
_STRANGE = {errno.EISDIR, errno.ELOOP, errno.ENOTDIR}
"""A folder, a link or a file where an object or its folder should be: nothing that we wrote."""
_T = TypeVar("_T")


class DirectoryStore:
    """Keeps objects as files under `root`; implements `ObjectStore`.

    At most `threads` calls wait for the disk at once; with one they come in a certain order.
    """

    def __init__(self, root: Path, *, threads: int = _THREADS, only_read: bool = False) -> None:
        """`only_read`: nothing is made in `root`, which may be mounted so that nothing can be."""
        if not only_read:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._known: set[str] = set()
        for directory in () if only_read else (layout.STAGING, layout.JOINED):
            self._directory(directory)

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """Write to `staging/`, hashing on the way; see `ObjectStore.stage`."""
        return await self._keep(layout.staging(new_ulid(at)), content, limit)

    async def _keep(self, key: Key, content: AsyncIterable[bytes], limit: int) -> Staged:
        descriptor = await self._run(lambda: os.open(str(key), _CREATE, 0o400, dir_fd=self._root))
        try:
            digest, size = await self._write_all(descriptor, content, limit)
            await self._run(lambda: sync(descriptor))
        except BaseException:
            os.close(descriptor)
            os.unlink(str(key), dir_fd=self._root)
            raise
        os.close(descriptor)
        return Staged(key, digest, size)

    async def _write_all(
        self, descriptor: int, content: AsyncIterable[bytes], limit: int
    ) -> tuple[Digest, int]:
        hasher = hashlib.sha256()
        size = 0

        def write(piece: bytes) -> None:
            hasher.update(piece)
            _write(descriptor, piece)

        async for piece in _gathered(content):
            size += len(piece)
            if size > limit:
                raise LimitExceededError(f"the content is longer than {limit} bytes")
            await self._run(partial(write, piece))
        return Digest("sha256", hasher.hexdigest()), size

    async def promote(self, staged: Staged, key: Key) -> None:
        """Link the staged file to its final name; see `ObjectStore.promote`."""
        await self._run(lambda: self._publish(str(staged.key), key))

    async def replace(self, staged: Staged, key: Key) -> None:
        """Rename the staged file over its final name; see `ObjectStore.replace`."""
        await self._run(lambda: self._publish_over(str(staged.key), key))

    async def discard(self, staged: Staged) -> None:
        """Remove the staged file."""
        await self.delete(staged.key)

    async def put(self, key: Key, content: bytes) -> None:
        """Write, sync and link in one go; see `ObjectStore.put`."""
        await self._run(lambda: self._put(key, content))

    async def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read in pieces of 1 MiB; see `ObjectStore.open`."""
        descriptor = await self._run(lambda: self._open(key))
        try:
            position, left = start, length
            while left is None or left > 0:
                want = _CHUNK if left is None else min(_CHUNK, left)
                piece = await self._run(partial(os.pread, descriptor, want, position))
                if not piece:
                    return
                yield piece
                position += len(piece)
                left = None if left is None else left - len(piece)
        finally:
            os.close(descriptor)

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """Read in one piece; see `ObjectStore.read`."""
        return await self._run(lambda: self._read(key, start, length))

    async def read_each(self, keys: Sequence[Key]) -> list[bytes | CustodyError]:
        """Read all of `keys` in one thread: a hop there and back costs more than a small file."""
        return await self._run(lambda: [self._read_or_why(key) for key in keys])

    def _read_or_why(self, key: Key) -> bytes | CustodyError:
        try:
            return self._read(key, 0, None)
        except NotFoundError as error:
            return error
        except OSError as error:
            if error.errno not in _STRANGE:
                raise
            return CorruptedError("what lies in the store is no object")

    async def size(self, key: Key) -> int | None:
        """The size of the file; see `ObjectStore.size`."""
        return await self._run(lambda: self._size(key))

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """Copy the parts into one file, hashing on the way; see `ObjectStore.assemble`."""

        async def joined() -> AsyncIterator[bytes]:
            for part in parts:
                async for piece in self.open(part):
                    yield piece

        return await self._keep(layout.joined(new_ulid(at)), joined(), limit=sys.maxsize)

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """None: nobody but this process reaches the directory."""
        _ = size, seconds
        if not str(key).startswith(f"{layout.STAGING}/"):
            raise InvalidInputError("URLs to write are made for staging/ alone", key=str(key))
        return None

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """None: nobody but this process reaches the directory."""
        _ = key, seconds
        return None

    async def forget_unfinished(self, *, before: datetime) -> int:
        """Nothing: what is unfinished here is a file in `staging/`."""
        _ = before
        return 0

    async def delete(self, key: Key) -> None:
        """Unlink the file; see `ObjectStore.delete`."""

        def unlink() -> None:
            try:
                os.unlink(str(key), dir_fd=self._root)
            except FileNotFoundError:
                return
            if not str(key).startswith((f"{layout.STAGING}/", f"{layout.JOINED}/")):
                # What was removed must not come back with the power.
                sync_directory(os.path.dirname(str(key)), dir_fd=self._root)

        await self._run(unlink)

    async def list(self, prefix: str) -> AsyncIterator[Listed]:
        """Walk the directory that `prefix` names or lies in; see `ObjectStore.list`."""
        for listed in await self._run(lambda: list(walk(self._root, prefix))):
            yield listed

    def close(self) -> None:
        """Give back the descriptor and the threads."""
        self._threads.shutdown()
        os.close(self._root)

    async def _run(self, call: Callable[[], _T]) -> _T:
        working = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # A thread cannot be stopped. Were its descriptor closed now, the number could be
            # another file's by the time it writes.
            await asyncio.wait({working})
            raise
        except OSError as error:
            if error.errno in _FULL:
                raise UnavailableError(
                    "the object store cannot be written",
                    hint="check that its disk has room and is writable",
                    reason=os.strerror(error.errno),
                ) from error
            if error.errno in _DENIED:
                hint = "check who owns its folder, and that the service may read and write there"
                raise UnavailableError("the object store refuses the service", hint=hint) from error
            if error.errno in _STRANGE:
                raise CorruptedError("what lies in the store is no object") from error
            raise

    def _directory(self, path: str) -> None:
        # Directories are never removed, so one that was seen needs no second look.
        if path not in self._known:
            make_directories(path, dir_fd=self._root)
            self._known.add(path)

    def _publish(self, staged: str, key: Key) -> None:
        directory = os.path.dirname(str(key))
        self._directory(directory)
        # Where it exists already, whoever linked it may not have forced the entry to the disk yet.
        with contextlib.suppress(FileExistsError):
            os.link(staged, str(key), src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False)
        sync_directory(directory, dir_fd=self._root)
        os.unlink(staged, dir_fd=self._root)

    def _publish_over(self, staged: str, key: Key) -> None:
        directory = os.path.dirname(str(key))
        self._directory(directory)
        os.rename(staged, str(key), src_dir_fd=self._root, dst_dir_fd=self._root)
        sync_directory(directory, dir_fd=self._root)

    def _put(self, key: Key, content: bytes) -> None:
        staged = str(layout.staging(new_ulid(datetime.now(UTC))))
        descriptor = os.open(staged, _CREATE, 0o400, dir_fd=self._root)
        try:
            _write(descriptor, content)
            sync(descriptor)
        except BaseException:
            os.unlink(staged, dir_fd=self._root)
            raise
        finally:
            os.close(descriptor)
        self._publish(staged, key)

    def _open(self, key: Key) -> int:
        try:
            return os.open(str(key), _READ, dir_fd=self._root)
        except FileNotFoundError as error:
            raise NotFoundError("there is no such object", key=str(key)) from error

    def _read(self, key: Key, start: int, length: int | None) -> bytes:
        descriptor = self._open(key)
        with os.fdopen(descriptor, "rb") as stream:
            stream.seek(start)
            return stream.read() if length is None else stream.read(length)

    def _size(self, key: Key) -> int | None:
        try:
            return os.stat(str(key), dir_fd=self._root, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None


def _write(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


async def _gathered(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Join small pieces: a hop to a thread costs more than hashing 64 KiB."""
    held: list[bytes] = []
    size = 0
    async for piece in content:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
