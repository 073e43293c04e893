"""A bounded directory of fetched bytes that several processes share.

An entry is a file that appears by rename and never changes. Its time stamp says when
it was last used. Whatever goes wrong with the store is no error of the work: it then
has merely nothing to offer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from itertools import islice

from custody.nodestore.location import allowed_size, location, make_own

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PATIENCE = 120.0
_PAUSE = 0.02


class NodeStore:
    """The entries below one directory, by key (`frames/…`, `blobs/…`). Safe between threads."""

    def __init__(self, root: str, limit: int) -> None:
        self.root = root
        self.limit = limit
        self.added = 0
        """The bytes that were kept and not yet counted."""
        self._folders: set[str] = set()

    def size(self, key: str) -> int | None:
        """Return how many bytes the entry `key` has, or None if there is none."""
        try:
            found = os.lstat(f"{self.root}/{key}")
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, key: str, *, limit: int) -> bytes | None:
        """Return what is kept under `key`, unless it is longer than `limit` or nothing is."""
        try:
            descriptor = os.open(f"{self.root}/{key}", _READ)
        except OSError:
            return None
        try:
            size = os.fstat(descriptor).st_size
            found = os.read(descriptor, min(size, limit) + 1)
            os.utime(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return found if len(found) <= limit else None

    def read_part(self, key: str, start: int, size: int) -> bytes | None:
        """Return up to `size` bytes from `start` on of what is kept under `key`, or None if nothing is."""
        descriptor = self.open(key)
        if descriptor is None:
            return None
        try:
            return os.pread(descriptor, size, start)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def names(self, folder: str, *, limit: int) -> list[str]:
        """Return the names of the entries that lie in `folder`, at most `limit` of them, in any order."""
        try:
            with os.scandir(f"{self.root}/{folder}") as entries:
                return [entry.name for entry in islice(entries, limit)]
        except OSError:
            return []

    def open(self, key: str) -> int | None:
        """Return a descriptor of what is kept under `key`, or None; the caller closes it."""
        try:
            descriptor = os.open(f"{self.root}/{key}", _READ)
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(descriptor)
        return descriptor

    def keep(self, key: str, content: bytes | memoryview) -> None:
        """Keep `content` under `key`."""
        if self.takes(len(content)):
            with contextlib.suppress(OSError), self._new(key) as descriptor:
                left = memoryview(content)
                while left:
                    left = left[os.write(descriptor, left) :]
                self.added += len(content)

    def keep_copy(self, key: str, source: int, size: int) -> None:
        """Keep the first `size` bytes of the open file `source` under `key`."""
        if not self.takes(size):
            return
        with contextlib.suppress(OSError), self._new(key) as descriptor:
            done = 0
            while done < size:
                count = os.sendfile(descriptor, source, done, size - done)
                if not count:
                    raise OSError("the file is shorter than it should be")
                done += count
            self.added += size

    def takes(self, size: int) -> bool:
        """Whether something of `size` bytes is worth a place: a quarter of the store at most."""
        return size <= self.limit // 4

    def drop(self, key: str) -> None:
        """Forget what is kept under `key`: it was wrong."""
        with contextlib.suppress(OSError):
            os.unlink(f"{self.root}/{key}")

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process fetches what is called `name`; not for ever, and not for a dead one."""
        descriptor = self._lock(name)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def close(self) -> None:
        """Note how much was added, and make room if that was too much."""
        added, self.added = self.added, 0
        if added:
            from custody.nodestore.pruning import prune

            with contextlib.suppress(OSError):
                prune(self.root, self.limit, added=added)

    def _lock(self, name: str) -> int | None:
        try:
            self._folder("locks")
            descriptor = os.open(f"{self.root}/locks/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                break
            else:
                break
        return descriptor

    @contextlib.contextmanager
    def _new(self, key: str) -> Iterator[int]:
        """Yield a new file that becomes the entry `key`, unless something goes wrong."""
        self._folder("new")
        self._folder(key.rpartition("/")[0])
        temporary = f"{self.root}/new/{os.urandom(12).hex()}"
        descriptor = os.open(temporary, _NEW, 0o600)
        try:
            try:
                yield descriptor
            finally:
                os.close(descriptor)
            os.replace(temporary, f"{self.root}/{key}")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _folder(self, path: str) -> None:
        if path not in self._folders:
            os.makedirs(f"{self.root}/{path}", mode=0o700, exist_ok=True)
            self._folders.add(path)


def node_store(environ: Mapping[str, str]) -> NodeStore | None:
    """Return the node store of this machine and user, or None where there is none.

    Raises:
        MisuseError: A variable that configures it makes no sense.
    """
    root, limit = location(environ), allowed_size(environ)
    if root is None or not limit or not make_own(root):
        return None
    return NodeStore(root, limit)
