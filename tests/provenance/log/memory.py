"""A log in memory: an object store that is a dictionary, and rows that are a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ed25519

from artifacts import layout
from artifacts.errors import NotFoundError
from artifacts.layout import Key
from artifacts.storage.protocol import Listed, ObjectStore
from provenance.log.auditing import Audit, Auditor
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.merkle import leaf_hash
from provenance.log.notes import NoteSigner
from provenance.log.objects import LogObjects

SIGNER = NoteSigner.of("custody.test", ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
AT = datetime(2026, 11, 22, tzinfo=UTC)


class Lying:
    """As much of an object store as reading a log takes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        try:
            content = self.objects[str(key)]
        except KeyError as error:
            raise NotFoundError("there is no such object", key=str(key)) from error
        return content[start:] if length is None else content[start : start + length]

    async def size(self, key: Key) -> int | None:
        return len(self.objects[str(key)]) if str(key) in self.objects else None

    async def list(self, prefix: str) -> AsyncIterator[Listed]:
        for name in [name for name in self.objects if name.startswith(prefix)]:
            yield Listed(Key(name), len(self.objects[name]), AT)


class MemoryLog:
    """A log that grew to each of some sizes."""

    def __init__(self, entries: Sequence[bytes], *sizes: int) -> None:
        self.store, self.kept, self.rows = Lying(), [], [(n, leaf_hash(one)) for n, one in enumerate(entries)]
        frontier = Frontier()
        for size in sizes or (len(entries),):
            for tile, content in frontier.grow(entries[frontier.size : size]).items():
                self.store.objects[str(layout.log_tile(tile.path))] = content
            self.kept.append(Checkpoint("custody.test", size, frontier.root))
        self.store.objects["log/checkpoint"] = self.kept[-1].signed(SIGNER)

    @property
    def objects(self) -> LogObjects:
        return LogObjects(cast("ObjectStore", self.store))

    async def together(self, begin: int, end: int) -> bytes:
        return b"".join(hashed for _, hashed in await self.each(begin, end))

    async def each(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        return sorted(row for row in self.rows if begin <= row[0] < end)

    async def audit(self, *, kept: Sequence[Checkpoint] = (), signatures: bool = False) -> Audit:
        auditor = Auditor(self.objects, SIGNER.key, self, kept, signatures=signatures)
        return await auditor.run()
