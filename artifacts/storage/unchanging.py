"""An object store that is only looked at: everything that would change it does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from datetime import datetime

from artifacts.digest import Digest
from artifacts.errors import LimitExceededError
from artifacts.identifiers import new_ulid
from artifacts.layout import Key, staging
from artifacts.storage.protocol import Listed, ObjectStore, Staged


class UnchangingStore:
    """Reads from `store`; implements `ObjectStore` for those who only want to know what would happen."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """Hash `content` and keep nothing of it."""
        hasher, size = hashlib.sha256(), 0
        async for piece in content:
            hasher.update(piece)
            size += len(piece)
            if size > limit:
                raise LimitExceededError(f"the content is longer than {limit} bytes")
        return Staged(staging(new_ulid(at)), Digest("sha256", hasher.hexdigest()), size)

    async def promote(self, staged: Staged, key: Key) -> None:
        """Nothing."""

    async def replace(self, staged: Staged, key: Key) -> None:
        """Nothing."""

    async def discard(self, staged: Staged) -> None:
        """Nothing."""

    async def put(self, key: Key, content: bytes) -> None:
        """Nothing."""

    def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read; see `ObjectStore.open`."""
        return self._store.open(key, start=start, length=length)

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """Read in one piece."""
        return await self._store.read(key, start=start, length=length)

    async def size(self, key: Key) -> int | None:
        """The size in bytes."""
        return await self._store.size(key)

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """Hash what joining `parts` would give."""

        async def joined() -> AsyncIterator[bytes]:
            for part in parts:
                async for piece in self._store.open(part):
                    yield piece

        return await self.stage(joined(), at=at, limit=2**63)

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """None: nothing is written."""
        _ = key, size, seconds
        return None

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """A URL of the store itself."""
        return self._store.presign_get(key, seconds=seconds)

    async def forget_unfinished(self, *, before: datetime) -> int:
        """Nothing."""
        _ = before
        return 0

    async def delete(self, key: Key) -> None:
        """Nothing."""

    def list(self, prefix: str) -> AsyncIterator[Listed]:
        """Every object whose key begins with `prefix`."""
        return self._store.list(prefix)
