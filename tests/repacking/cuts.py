"""Power cuts: the nth call to the store or the index fails, before it was made or after."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from api.parts import assemble
from api.settings import Settings
from artifacts.db import Database, connect
from artifacts.layout import Key
from artifacts.seal import Seal
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import Listed, ObjectStore, Staged
from provenance.signers.local import LocalSigner
from tests.service import PUBLIC_URL, HandClock, Service


class PowerCutError(Exception):
    """The process is gone."""


@dataclass
class Cut:
    """Counts calls; from the nth on every one fails, as in a process that is gone."""

    at: int | None = None
    calls: int = 0

    def count(self) -> None:
        """One more moment at which the power may be cut."""
        self.calls += 1
        if self.at is not None and self.calls >= self.at:
            raise PowerCutError(self.calls)


class CutDatabase(Database):
    """An index whose transactions may not begin, not commit, or commit unheard."""

    def __init__(self, database: Database, cut: Cut) -> None:
        super().__init__(database._engine)
        self._cut = cut

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, and three moments."""
        self._cut.count()
        async with super().writing() as connection:
            yield connection
            self._cut.count()
        self._cut.count()


class CutStore:
    """A store of which each call that changes something may not be made, or made unheard."""

    def __init__(self, store: ObjectStore, cut: Cut) -> None:
        self._store = store
        self._cut = cut

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """See `ObjectStore`."""
        self._cut.count()
        staged = await self._store.stage(content, at=at, limit=limit)
        self._cut.count()
        return staged

    async def promote(self, staged: Staged, key: Key) -> None:
        """See `ObjectStore`."""
        self._cut.count()
        await self._store.promote(staged, key)
        self._cut.count()

    async def replace(self, staged: Staged, key: Key) -> None:
        """See `ObjectStore`."""
        self._cut.count()
        await self._store.replace(staged, key)
        self._cut.count()

    async def discard(self, staged: Staged) -> None:
        """See `ObjectStore`."""
        self._cut.count()
        await self._store.discard(staged)

    async def put(self, key: Key, content: bytes) -> None:
        """See `ObjectStore`."""
        self._cut.count()
        await self._store.put(key, content)
        self._cut.count()

    async def delete(self, key: Key) -> None:
        """See `ObjectStore`."""
        self._cut.count()
        await self._store.delete(key)
        self._cut.count()

    def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See `ObjectStore`."""
        self._cut.count()
        return self._store.open(key, start=start, length=length)

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """See `ObjectStore`."""
        self._cut.count()
        return await self._store.read(key, start=start, length=length)

    async def size(self, key: Key) -> int | None:
        """See `ObjectStore`."""
        return await self._store.size(key)

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """See `ObjectStore`."""
        return await self._store.assemble(parts, at=at)

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """See `ObjectStore`."""
        return self._store.presign_put(key, size=size, seconds=seconds)

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """See `ObjectStore`."""
        return self._store.presign_get(key, seconds=seconds)

    async def forget_unfinished(self, *, before: datetime) -> int:
        """See `ObjectStore`."""
        return await self._store.forget_unfinished(before=before)

    def list(self, prefix: str) -> AsyncIterator[Listed]:
        """See `ObjectStore`."""
        return self._store.list(prefix)


@asynccontextmanager
async def reopened(folder: Path, clock: HandClock, cut: Cut | None = None) -> AsyncIterator[Service]:
    """The service whose data lie in `folder`; with `cut` it is one that dies."""
    settings = Settings(data=folder / "data", public_url=PUBLIC_URL)
    database, directory = connect(settings.index_url), DirectoryStore(settings.objects)
    doomed = database if cut is None else CutDatabase(database, cut)
    store: ObjectStore = directory if cut is None else CutStore(directory, cut)
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=frozenset({"custody.test"}),
        database=doomed,
        store=store,
        clock=clock,
        seal=Seal.open_or_create(settings.seal_key),
    )
    try:
        yield Service(parts, clock, store, LocalSigner.open_or_create(folder / "keys" / "local.pem"), folder)
    finally:
        await database.close()
        directory.close()
