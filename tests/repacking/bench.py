"""A service whose packs are packed anew and purged by the test, and what is looked at afterwards."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx2

from artifacts import layout
from artifacts.control import TREE
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.outages import repeated
from artifacts.purging import Purger
from artifacts.queries.repacking import REPACK
from artifacts.removal import REMOVE, Removals, Thing
from artifacts.storage.protocol import ObjectStore
from artifacts.trees import compression, manifest
from artifacts.trees.repacking import Repacked, Repacker
from artifacts.trees.settling import Settler
from tests.service import Service
from tests.trees.shapes import Pack, Tree, file, raw, send

DAY = 86_400
GRACE_MS = DAY * 1000


@dataclass
class Anew:
    """The parts of a worker that pack anew, over the index and the store of a service."""

    service: Service

    @property
    def repacker(self) -> Repacker:
        """Packs anew."""
        service = self.service
        return Repacker(service.database, service.store, service.clock, grace_ms=GRACE_MS)

    @property
    def purger(self) -> Purger:
        """Purges."""
        service = self.service
        return Purger(service.database, service.store, service.clock, grace_ms=GRACE_MS)

    async def compact(self, project: str = "default") -> Repacked:
        """Pack anew what frays, and lay trees out anew."""
        done = await repeated(self.repacker.compact)(project)
        await self.settle()
        return done

    async def purge(
        self, content: bytes | Digest, reason: str = "leaked", project: str = "default"
    ) -> Repacked:
        """Purge, and all that follows from it."""
        digest = content if isinstance(content, Digest) else Digest.of(content)
        _, done = await self.purger.purge(project, digest, reason)
        await self.settle()
        return done

    async def settle(self) -> int:
        """Let the worker do what follows from packing anew, until nothing is due."""
        service = self.service
        settler = Settler(service.database, service.store, service.clock, grace_ms=GRACE_MS)
        removals = Removals(service.database, service.store, service.clock)
        done = 1
        total = 0
        while done:
            done = await service._labour(REPACK, settler.work) + await service._labour(
                REMOVE, removals.remove
            )
            total += done
            # What was given back for a moment is taken again.
            service.clock.advance(0.3 if done else 0)
        return total


def contents(name: str, count: int, *, size: int = 400) -> dict[str, bytes]:
    """Files that zstd cannot make much smaller, always the same for the same name."""
    return {f"{name}/{number:03d}": _noise(f"{name} {number}", size) for number in range(count)}


def _noise(seed: str, size: int) -> bytes:
    return b"".join(hashlib.sha256(f"{seed} {n}".encode()).digest() for n in range(-(-size // 32)))[:size]


def tree_of(files: Mapping[str, bytes]) -> Tree:
    """A directory of these files."""
    return Tree(sorted((file(path, content) for path, content in files.items()), key=lambda one: one.path))


def pack_of(files: Iterable[bytes], *, frame: int = 4) -> Pack:
    """A pack of these contents, some in each frame."""
    small = list(dict.fromkeys(files))
    return Pack.of(*(small[start : start + frame] for start in range(0, len(small), frame)))


async def keep(
    service: Service, client: httpx2.AsyncClient, files: Mapping[str, bytes], *packs: Pack
) -> Tree:
    """Send a tree that lies in `packs`, or in one of its own, and let the worker check it."""
    tree = tree_of(files)
    sent = packs or (pack_of(files.values()),)
    assert (await send(client, tree, *sent)).status_code in {200, 202}
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"
    return tree


async def got(client: httpx2.AsyncClient, tree: Tree) -> dict[str, bytes]:
    """The files of a tree by its layout: each frame is fetched as a range of its pack, as `custody get` does."""
    page = (await client.get(f"{tree.url}/layout")).content
    text = b"".join(_unfolded(page)).decode()
    entries = manifest.read(tree.text)
    packs: list[str] = []
    found: dict[str, bytes] = {}
    frame = b""
    for line in text.splitlines()[1:]:
        kind, *rest = line.split()
        if kind == "p":
            packs.append(rest[0])
        elif kind == "r":
            number, offset, length, size = map(int, rest)
            asked = {"Range": f"bytes={offset}-{offset + length - 1}"}
            part = await client.get(f"/v1/blobs/sha256:{packs[number]}", headers=asked)
            assert part.status_code == 206
            frame = compression.decode(part.content, size=size)
        else:
            entry, start = entries[int(kind)], int(rest[0])
            content = frame[start : start + entry.size]
            assert raw(content) == entry.digest
            found[entry.path.decode()] = content
    for entry in entries:
        if entry.size and not entry.is_small:
            found[entry.path.decode()] = (await client.get(f"/v1/blobs/sha256:{entry.digest.hex()}")).content
    return found


def _unfolded(frame: bytes) -> Iterable[bytes]:
    reader = compression.FrameReader(limit=1 << 24, length=len(frame))
    yield from reader.feed(frame)
    reader.finish()


async def tarred(client: httpx2.AsyncClient, tree: Tree) -> dict[str, bytes]:
    """The files of a tree by `?as=tar`, which goes by the locations of the index."""
    answer = await client.get(f"{tree.url}?as=tar")
    assert answer.status_code == 200
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        return {
            member.name: (archive.extractfile(member) or io.BytesIO()).read()
            for member in archive.getmembers()
        }


async def assert_readable(client: httpx2.AsyncClient, tree: Tree, files: Mapping[str, bytes]) -> None:
    """Every byte of the tree can be had, both ways, and each file by its digest."""
    assert await got(client, tree) == files
    assert await tarred(client, tree) == files
    some = next(iter(files.values()))
    assert (await client.get(f"/v1/blobs/sha256:{raw(some).hex()}")).content == some


async def bytes_below(store: ObjectStore, prefix: str) -> int:
    """How many bytes lie below a prefix."""
    return sum([listed.size async for listed in store.list(prefix)])


async def finds(store: ObjectStore, secret: bytes, prefix: str = "") -> list[str]:
    """The objects in which `secret` lies, as it is, or in a frame of a pack."""
    found = []
    async for listed in store.list(prefix):
        content = await store.read(listed.key)
        if secret in content or secret in b"".join(_frames(content)):
            found.append(str(listed.key))
    return found


def _frames(content: bytes) -> list[bytes]:
    try:
        return [frame for _, frame in compression.frames(content)]
    except (InvalidInputError, LimitExceededError):
        return []


def key_of(content: bytes, project: str = "default") -> layout.Key:
    """Where a blob lies."""
    return layout.blob(project, Digest.of(content))


async def remove(service: Service, tree: Tree) -> None:
    """Remove a tree, as a rule of the operator would."""
    removals = Removals(service.database, service.store, service.clock)
    thing = Thing("default", TREE, Digest.parse(tree.digest))
    async with service.database.writing() as connection:
        assert await removals.decide(
            connection, thing, reason="rule", now=int(service.clock.now().timestamp() * 1000)
        )
    await Anew(service).settle()
