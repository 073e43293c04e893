"""Group commit: many callers, one transaction, each its own answer.

A durable commit costs the same for one record as for two hundred. The first caller
starts a batch at once; whoever arrives while it is being written goes into the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Commit = Callable[[Sequence[T]], Awaitable[Sequence[R | Exception]]]


class Batcher(Generic[T, R]):
    """Hands values to `commit` in groups of at most `limit`, in the order they came.

    `commit` opens, commits and answers: one result a member, an exception among them for
    a member that is refused. If `commit` itself fails, its members are tried one by one,
    so that one bad member cannot fail its neighbours; `commit` must be safe to repeat.
    """

    def __init__(self, commit: Commit[T, R], *, limit: int) -> None:
        self._commit = commit
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None
        self.batches = 0
        """How many were written so far, for whoever watches; `members` is what was in them."""
        self.members = 0

    async def submit(self, value: T) -> R:
        """Wait until `value` is committed and return its result, or raise what refused it."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((value, answer))
        if self._writing is None:
            self._writing = asyncio.create_task(self._drain())
        return await answer

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                self.batches += 1
                self.members += len(batch)
                await self._write(batch)
        finally:
            self._writing = None

    async def _write(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._commit([value for value, _ in batch])
        except Exception as error:  # whatever it is, each member learns its own fate
            if len(batch) == 1:
                _tell(batch[0][1], error)
                return
            for member in batch:
                await self._write([member])
            return
        for (_, answer), result in zip(batch, results, strict=True):
            _tell(answer, result)


def _tell(answer: asyncio.Future[R], result: R | Exception) -> None:
    if answer.done():  # the caller has gone away; what was committed stays committed
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
