"""Small files packed for the way: independent frames of about 256 KiB, in packs of tens of megabytes.

What is packed is what was hashed: the bytes that the capture kept, or else the file
again, hashed again. A file that is no longer what was captured ends the work here and
not at the service.
"""

from __future__ import annotations

import hashlib
import os
import threading
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import zstandard

from custody.trees.errors import ChangedError
from custody.trees.layout import FRAME, SMALL
from custody.trees.manifest import LINK, Manifest
from custody.trees.packs import Draft, Pack

LEVEL = 3
"""Of zstd: level 1 takes a fifth less time and makes a tenth more bytes."""

MEMBERS = 8_192
"""Files after which a frame is closed, however small they are."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NONE: Mapping[bytes, bytes] = {}


def pack(
    root: str,
    manifest: Manifest,
    entries: Sequence[int],
    spool: str,
    *,
    contents: Mapping[bytes, bytes] = _NONE,
) -> Iterator[Pack]:
    """Pack the contents of `entries`, each at most 1 MiB, into files of the directory `spool`.

    Args:
        root: The directory that was captured.
        manifest: What was found in it.
        entries: What is to be packed.
        spool: Where packs are written.
        contents: What the capture still has of what it hashed, by digest; the rest is read again.

    Raises:
        ChangedError: A file is not what the manifest says.
    """
    draft = Draft(spool, manifest)
    try:
        for members, packed, plain in _compressed(
            _Reader(root, manifest, contents), frames(manifest, entries)
        ):
            draft.add(members, packed, plain)
            if draft.full:
                yield draft.finished()
                draft = Draft(spool, manifest)
    finally:
        draft.close()
    if draft.size:
        yield draft.finished()


def _compressed(reader: _Reader, groups: Iterable[array[int]]) -> Iterator[tuple[array[int], bytes, int]]:
    """Yield each group with its frame and the bytes in it, a few frames ahead in threads."""
    local = threading.local()
    workers = min(8, max(2, os.cpu_count() or 1))

    def frame(members: Sequence[int]) -> tuple[bytes, int]:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=False)
        plain = b"".join(map(reader.read, members))
        return local.compressor.compress(plain), len(plain)

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[array[int], Future[tuple[bytes, int]]]] = deque()
        try:
            for members in groups:
                waiting.append((members, pool.submit(frame, members)))
                if len(waiting) > 2 * workers:
                    first, future = waiting.popleft()
                    yield (first, *future.result())
            while waiting:
                first, future = waiting.popleft()
                yield (first, *future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def frames(manifest: Manifest, entries: Iterable[int]) -> Iterator[array[int]]:
    """Yield `entries` in groups that become a frame each.

    Groups follow the hash of the path, so that a file which changes takes few others
    with it, and within a group files stand in order, so that the like lie together.
    """
    chosen = array("I", entries)
    sizes = manifest.sizes
    total = sum(map(sizes.__getitem__, chosen))
    bits = max(0, (total // FRAME).bit_length() - 1)
    members = array("I")
    size = 0
    for entry in _grouped(manifest.paths, chosen, min(bits, 24)):
        members.append(entry)
        size += sizes[entry]
        if size >= FRAME or len(members) >= MEMBERS:
            yield members
            members, size = array("I"), 0
    if members:
        yield members


def _grouped(paths: Sequence[bytes], entries: array[int], bits: int) -> array[int]:
    """Return `entries` ordered by the first bits of the sha256 of their path, then as they were."""
    sha256, from_bytes, shift = hashlib.sha256, int.from_bytes, 24 - bits
    # Group and place in one number each: a million entries sort without an object for every one.
    keys = array(
        "Q",
        (
            from_bytes(sha256(paths[entry]).digest()[:3]) >> shift << 32 | place
            for place, entry in enumerate(entries)
        ),
    )
    ordered = array("Q", sorted(keys))
    del keys
    return array("I", (entries[key & 0xFFFFFFFF] for key in ordered))


class _Reader:
    """Reads the small contents of a captured directory and compares them with the manifest."""

    def __init__(self, root: str, manifest: Manifest, contents: Mapping[bytes, bytes]) -> None:
        self._root = os.fsencode(root)
        self._manifest = manifest
        self._contents = contents

    def read(self, entry: int) -> bytes:
        """Return the content of `entry`.

        Raises:
            ChangedError: It is not what it was when it was captured.
        """
        content = self._contents.get(self._manifest.raw(entry))
        return self._again(entry) if content is None else content

    def _again(self, entry: int) -> bytes:
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


def is_small(manifest: Manifest, entry: int) -> bool:
    """Whether the content of `entry` travels in a frame."""
    return 0 < manifest.sizes[entry] <= SMALL
