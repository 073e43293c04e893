"""Trees made by hand, right or wrong, on the shelf of a peer that believes everything."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import zstandard

from custody.nodestore.store import NodeStore
from custody.transport import Patience, Transport
from custody.trees.remote import TreeService
from custody.trees.restore import Options, restore
from custody.trees.source import Source
from tests.client.trees.tree_peer import Shelf

HASTY = Patience(attempts=2, timeout=20.0, first_pause=0.01, longest_pause=0.02)


@dataclass(frozen=True)
class Item:
    """A line of a manifest with the content it speaks of; `written` is the path as it stands there."""

    head: str
    written: bytes
    content: bytes = b""

    def line(self) -> bytes:
        if self.head.endswith(" d"):
            return b"%b - 0 %b\n" % (self.head.encode(), self.written)
        digest = hashlib.sha256(self.content).hexdigest().encode()
        return b"%b %b %d %b\n" % (self.head.encode(), digest, len(self.content), self.written)


def file(written: bytes | str, content: bytes = b"content") -> Item:
    return Item("644 f", _bytes(written), content)


def link(written: bytes | str, target: bytes | str) -> Item:
    return Item("777 l", _bytes(written), _bytes(target))


def folder(written: bytes | str) -> Item:
    return Item("755 d", _bytes(written))


def manifest_of(items: Iterable[Item], *, ordered: bool = True) -> bytes:
    chosen = sorted(items, key=lambda item: item.written) if ordered else list(items)
    return b"custody-tree/v1\n" + b"".join(item.line() for item in chosen)


def shelve(shelf: Shelf, items: Iterable[Item], *, ordered: bool = True) -> str:
    """Put a tree on the shelf without any check and return the hex of its digest."""
    chosen = sorted(items, key=lambda item: item.written) if ordered else list(items)
    text = manifest_of(chosen, ordered=False)
    frame = b"".join(item.content for item in chosen)
    tree = shelve_text(shelf, text)
    placed = [number for number, item in enumerate(chosen) if item.content]
    if not placed:
        shelf.layouts[tree] = zstandard.compress(f"custody-layout/v1 {tree}\n".encode())
        return tree
    pack = zstandard.compress(frame)
    sha256 = hashlib.sha256(pack).hexdigest()
    shelf.blobs[sha256] = pack
    lines = [f"custody-layout/v1 {tree}", f"p {sha256} {len(pack)}", f"r 0 0 {len(pack)} {len(frame)}"]
    at = 0
    for number, item in enumerate(chosen):
        if item.content:
            lines.append(f"{number} {at}")
        at += len(item.content)
    shelf.layouts[tree] = zstandard.compress(("\n".join(lines) + "\n").encode())
    return tree


def shelve_text(shelf: Shelf, text: bytes) -> str:
    """Put a manifest on the shelf as it is, with a layout that says nothing."""
    tree = hashlib.sha256(text).hexdigest()
    shelf.manifests[tree] = zstandard.compress(text)
    shelf.layouts[tree] = zstandard.compress(f"custody-layout/v1 {tree}\n".encode())
    return tree


def fetched(
    shelf: Shelf, tree: str, target: Path, options: Options | None = None, *, store: NodeStore | None = None
) -> None:
    """Restore `tree` from the shelf, as `custody get` does."""
    source = Source(lambda: TreeService(Transport(shelf.url, None, patience=HASTY)), store)
    try:
        restore(source, source.manifest(tree), str(target), options or Options())
    finally:
        source.close()


def seen(root: Path) -> dict[bytes, tuple[str, int, bytes]]:
    """Walk a directory by our own means: kind, mode and content of everything below it."""
    found: dict[bytes, tuple[str, int, bytes]] = {}
    waiting = [os.fsencode(root)]
    top = len(waiting[0]) + 1
    while waiting:
        above = waiting.pop()
        for name in os.listdir(above):
            path = above + b"/" + name
            at = os.lstat(path)
            mode = stat.S_IMODE(at.st_mode)
            if stat.S_ISDIR(at.st_mode):
                found[path[top:]] = ("directory", 0, b"")
                waiting.append(path)
            elif stat.S_ISLNK(at.st_mode):
                found[path[top:]] = ("link", 0, os.readlink(path))
            else:
                assert stat.S_ISREG(at.st_mode)
                with open(path, "rb") as stream:
                    found[path[top:]] = ("file", mode, stream.read())
    return found


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
