"""A present tree as a tar stream, for people with curl only.

The same tree always gives the same bytes: entries in the order of the manifest, times
and owners zero. Tar is only ever written here, never read.
"""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from typing import Final

from artifacts.digest import Digest
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.contents import TreeContents
from artifacts.trees.manifest import Entry
from artifacts.trees.reading import entries

MEDIA_TYPE: Final = "application/x-tar"
_BLOCK: Final = tarfile.BLOCKSIZE
_GATHERED: Final = 256 * 1024
_TYPES: Final = {"f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "d": tarfile.DIRTYPE}


async def stream(
    store: ObjectStore, contents: TreeContents, project: str, tree: Digest
) -> AsyncIterator[bytes]:
    """The tar of `tree`; it stays short where a content is damaged.

    Raises:
        CorruptedError: a content does not hash to its digest.
    """
    held: list[bytes] = []
    size = 0
    async for piece in _blocks(store, contents, project, tree):
        held.append(piece)
        size += len(piece)
        if size >= _GATHERED:
            yield b"".join(held)
            held.clear()
            size = 0
    yield b"".join(held) + bytes(2 * _BLOCK)


async def _blocks(
    store: ObjectStore, contents: TreeContents, project: str, tree: Digest
) -> AsyncIterator[bytes]:
    async for some in entries(store, project, tree):
        places = await contents.locate(some)
        for entry in some:
            if entry.kind != "f":
                yield _head(entry, b"".join([piece async for piece in contents.open(entry, places)]))
                continue
            yield _head(entry, b"")
            async for piece in contents.open(entry, places):
                yield piece
            yield bytes(-entry.size % _BLOCK)


def _head(entry: Entry, target: bytes) -> bytes:
    # GNU format: long names and names that are no UTF-8 travel as the bytes they are.
    head = tarfile.TarInfo(entry.path.decode("utf-8", "surrogateescape"))
    head.type = _TYPES[entry.kind]
    head.mode = int(entry.mode, 8)
    head.size = entry.size if entry.kind == "f" else 0
    head.linkname = target.decode("utf-8", "surrogateescape")
    return head.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
