"""Small files packed for the way: independent frames of about 256 KiB, in packs of tens of megabytes.

What is packed is hashed again: a file that is no longer what was captured ends the
work here and not at the service.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import zstandard

from custody.bodies import Content
from custody.trees.errors import ChangedError
from custody.trees.layout import FRAME, SMALL
from custody.trees.manifest import LINK, Manifest
from custody.wire import Document

PACK = 32 << 20
"""Packed bytes after which a pack is closed."""

PLAIN = 1 << 30
"""Plain bytes after which a pack is closed, however little they became."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack in a file of ours, and what lies in it."""

    path: str
    sha256: str
    size: int
    index: Document
    plain: int

    def content(self) -> Content:
        """Return the pack as a body."""
        return Content(self.size, lambda: open(self.path, "rb", buffering=0))


def pack(root: str, manifest: Manifest, entries: Sequence[int], spool: str) -> Iterator[Pack]:
    """Pack the contents of `entries`, each at most 1 MiB, into files of the directory `spool`.

    Raises:
        ChangedError: A file is not what the manifest says.
    """
    local = threading.local()
    workers = min(8, max(2, os.cpu_count() or 1))
    reader = _Reader(root, manifest)

    def frame(members: Sequence[int]) -> tuple[bytes, int]:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(level=3, write_checksum=False)
        plain = b"".join(map(reader.read, members))
        return local.compressor.compress(plain), len(plain)

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[Sequence[int], Future[tuple[bytes, int]]]] = deque()
        draft = _Draft(spool, manifest)
        try:
            for chosen in frames(manifest, entries):
                waiting.append((chosen, pool.submit(frame, chosen)))
                if len(waiting) > 2 * workers:
                    draft.add(waiting[0][0], *waiting.popleft()[1].result())
                    if draft.full:
                        yield draft.finished()
                        draft = _Draft(spool, manifest)
            for members, future in waiting:
                draft.add(members, *future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            draft.close()
        if draft.size:
            yield draft.finished()


def frames(manifest: Manifest, entries: Iterable[int]) -> Iterator[list[int]]:
    """Yield `entries` in groups that become a frame each.

    Groups follow the hash of the path, so that a file which changes takes few others
    with it, and within a group files stand in order, so that the like lie together.
    """
    chosen = list(entries)
    total = sum(manifest.sizes[entry] for entry in chosen)
    bits = max(0, (total // FRAME).bit_length() - 1)
    paths, sizes = manifest.paths, manifest.sizes
    groups = array_of_groups(paths, chosen, min(bits, 24))
    members: list[int] = []
    size = 0
    for entry in groups:
        members.append(entry)
        size += sizes[entry]
        if size >= FRAME:
            yield members
            members, size = [], 0
    if members:
        yield members


def array_of_groups(paths: Sequence[bytes], entries: list[int], bits: int) -> list[int]:
    """Return `entries` ordered by the first bits of the sha256 of their path, then as they were."""
    sha256, from_bytes = hashlib.sha256, int.from_bytes
    return sorted(entries, key=lambda entry: from_bytes(sha256(paths[entry]).digest()[:3]) >> (24 - bits))


class _Reader:
    """Reads the small contents of a captured directory and compares them with the manifest."""

    def __init__(self, root: str, manifest: Manifest) -> None:
        self._root = os.fsencode(root)
        self._manifest = manifest

    def read(self, entry: int) -> bytes:
        """Return the content of `entry`.

        Raises:
            ChangedError: It is not what it was when it was captured.
        """
        manifest = self._manifest
        path = b"%b/%b" % (self._root, manifest.paths[entry])
        size = manifest.sizes[entry]
        try:
            content = os.readlink(path) if manifest.kinds[entry] == LINK else _small(path, size)
        except OSError as error:
            raise _changed(manifest.paths[entry]) from error
        if len(content) != size or hashlib.sha256(content).digest() != manifest.raw(entry):
            raise _changed(manifest.paths[entry])
        return content


def _small(path: bytes, size: int) -> bytes:
    descriptor = os.open(path, _READ)
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def _changed(path: bytes) -> ChangedError:
    return ChangedError(
        f"{os.fsdecode(path)}: changed after it was captured", hint="wait until whatever writes it is done"
    )


class _Draft:
    """A pack under way."""

    def __init__(self, spool: str, manifest: Manifest) -> None:
        self.path = f"{spool}/{os.urandom(12).hex()}.pack"
        self.size = 0
        self._manifest = manifest
        self._stream = open(self.path, "xb")  # noqa: SIM115 - closed by `close`
        self._hasher = hashlib.sha256()
        self._frames: list[Document] = []
        self._plain = 0

    @property
    def full(self) -> bool:
        """Whether the next frame belongs into another pack."""
        return self.size >= PACK or self._plain >= PLAIN

    def add(self, members: Sequence[int], packed: bytes, plain: int) -> None:
        """Append one frame."""
        manifest = self._manifest
        files = [[manifest.raw(entry).hex(), manifest.sizes[entry]] for entry in members]
        self._frames.append({"offset": self.size, "length": len(packed), "files": files})
        self._stream.write(packed)
        self._hasher.update(packed)
        self.size += len(packed)
        self._plain += plain

    def finished(self) -> Pack:
        """Close the pack and say what is in it."""
        self._stream.close()
        sha256 = self._hasher.hexdigest()
        index = {"digest": f"sha256:{sha256}", "frames": self._frames}
        return Pack(self.path, sha256, self.size, index, self._plain)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def is_small(manifest: Manifest, entry: int) -> bool:
    """Whether the content of `entry` travels in a frame."""
    return 0 < manifest.sizes[entry] <= SMALL
