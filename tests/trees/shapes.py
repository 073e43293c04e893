"""Directories for tests: from paths and contents to a manifest, packs and claims."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from artifacts.trees import compression, manifest
from artifacts.trees.manifest import Entry

ZSTD = {"Content-Type": "application/zstd"}


def raw(content: bytes) -> bytes:
    """The sha256 of `content`."""
    return hashlib.sha256(content).digest()


def file(path: str | bytes, content: bytes, *, mode: str = "644") -> Entry:
    """A file."""
    return Entry(mode, "f", raw(content), len(content), _bytes(path))


def link(path: str | bytes, target: bytes) -> Entry:
    """A link."""
    return Entry("777", "l", raw(target), len(target), _bytes(path))


def folder(path: str | bytes) -> Entry:
    """An empty directory."""
    return Entry("755", "d", b"", 0, _bytes(path))


def _bytes(path: str | bytes) -> bytes:
    return path.encode() if isinstance(path, str) else path


@dataclass
class Pack:
    """A pack and its index, as a client would make them; lies are told by changing `index`."""

    content: bytes = b""
    frames: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, *frames: Iterable[bytes]) -> Pack:
        """One frame for each group of contents."""
        pack = cls()
        for group in frames:
            contents = list(group)
            pack.add(compression.encode(b"".join(contents)), contents)
        return pack

    def add(self, frame: bytes, contents: Iterable[bytes]) -> None:
        """Append `frame` and say that `contents` lie in it."""
        files = [[raw(one).hex(), len(one)] for one in contents]
        self.frames.append({"offset": len(self.content), "length": len(frame), "files": files})
        self.content += frame

    @property
    def digest(self) -> str:
        """The digest of the pack."""
        return f"sha256:{raw(self.content).hex()}"

    @property
    def index(self) -> dict[str, Any]:
        """What a client says of it."""
        return {"digest": self.digest, "frames": self.frames}


@dataclass
class Tree:
    """A tree, by its entries."""

    entries: list[Entry]

    @property
    def text(self) -> bytes:
        """The manifest."""
        return manifest.write(self.entries)

    @property
    def digest(self) -> str:
        """The digest of the tree."""
        return f"sha256:{raw(self.text).hex()}"

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"/v1/trees/{self.digest}"


CONTENTS: Mapping[str, bytes] = {
    "README": b"read me\n",
    "bin/run": b"#!/bin/sh\n",
    "src/a.py": b"a = 1\n",
    "src/b.py": b"b = 2\n" * 40_000,
}
TARGET = b"../src/a.py"


def a_tree() -> Tree:
    """Some files, one of them executable, a link, an empty directory and an empty file."""
    entries = [
        file(path, content, mode="755" if path.startswith("bin") else "644")
        for path, content in CONTENTS.items()
    ]
    return Tree([*entries, link("bin/a", TARGET), folder("var/empty"), file("src/__init__.py", b"")])


def a_pack() -> Pack:
    """Every content of `a_tree`."""
    contents = list(CONTENTS.values())
    return Pack.of([*contents[:2], TARGET], contents[2:])


async def put_manifest(client: httpx2.AsyncClient, tree: Tree) -> httpx2.Response:
    """Send the manifest of `tree`."""
    return await client.put(f"{tree.url}/manifest", content=compression.encode(tree.text), headers=ZSTD)


async def upload(client: httpx2.AsyncClient, content: bytes) -> None:
    """Send a blob."""
    assert (await client.post("/v1/blobs/uploads", content=content)).status_code in {200, 201}


async def send(client: httpx2.AsyncClient, tree: Tree, *packs: Pack) -> httpx2.Response:
    """Send manifest, packs and proposal; return the last answer."""
    assert (await put_manifest(client, tree)).status_code in {200, 201}
    for pack in packs:
        await upload(client, pack.content)
    return await client.post(tree.url, json={"packs": [pack.index for pack in packs]})
