"""An object store whose calls are counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from api.metrics import Metrics, outcome_of
from artifacts.layout import Key
from artifacts.storage.protocol import Listed, ObjectStore, Staged

T = TypeVar("T")
_WRITTEN, _READ = "written", "read"


class MeasuredStore:
    """Passes everything on to `store` and tells `metrics`; implements `ObjectStore`."""

    def __init__(self, store: ObjectStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def _counted(self, operation: str, call: Awaitable[T]) -> T:
        began, error = time.perf_counter(), None
        try:
            return await call
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._metrics.called(operation, outcome_of(error), time.perf_counter() - began)

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """See `ObjectStore.stage`."""
        staged = await self._counted("stage", self._store.stage(content, at=at, limit=limit))
        self._metrics.moved(_WRITTEN, staged.size)
        return staged

    async def promote(self, staged: Staged, key: Key) -> None:
        """See `ObjectStore.promote`."""
        await self._counted("promote", self._store.promote(staged, key))

    async def replace(self, staged: Staged, key: Key) -> None:
        """See `ObjectStore.replace`."""
        await self._counted("replace", self._store.replace(staged, key))

    async def discard(self, staged: Staged) -> None:
        """See `ObjectStore.discard`."""
        await self._counted("discard", self._store.discard(staged))

    async def put(self, key: Key, content: bytes) -> None:
        """See `ObjectStore.put`."""
        await self._counted("put", self._store.put(key, content))
        self._metrics.moved(_WRITTEN, len(content))

    async def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """See `ObjectStore.open`; the time is that until the last piece, the reader's own included."""
        began, error = time.perf_counter(), None
        try:
            async for piece in self._store.open(key, start=start, length=length):
                self._metrics.moved(_READ, len(piece))
                yield piece
        except Exception as raised:
            error = raised
            raise
        finally:
            self._metrics.called("open", outcome_of(error), time.perf_counter() - began)

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """See `ObjectStore.read`."""
        content = await self._counted("read", self._store.read(key, start=start, length=length))
        self._metrics.moved(_READ, len(content))
        return content

    async def size(self, key: Key) -> int | None:
        """See `ObjectStore.size`."""
        return await self._counted("size", self._store.size(key))

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """See `ObjectStore.assemble`."""
        staged = await self._counted("assemble", self._store.assemble(parts, at=at))
        self._metrics.moved(_READ, staged.size)
        return staged

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """See `ObjectStore.presign_put`."""
        return self._store.presign_put(key, size=size, seconds=seconds)

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """See `ObjectStore.presign_get`."""
        return self._store.presign_get(key, seconds=seconds)

    async def forget_unfinished(self, *, before: datetime) -> int:
        """See `ObjectStore.forget_unfinished`."""
        return await self._counted("forget_unfinished", self._store.forget_unfinished(before=before))

    async def delete(self, key: Key) -> None:
        """See `ObjectStore.delete`."""
        await self._counted("delete", self._store.delete(key))

    async def list(self, prefix: str) -> AsyncIterator[Listed]:
        """See `ObjectStore.list`; counted without its time, which is mostly the reader's."""
        error = None
        try:
            async for listed in self._store.list(prefix):
                yield listed
        except Exception as raised:
            error = raised
            raise
        finally:
            self._metrics.called("list", outcome_of(error), 0.0)
