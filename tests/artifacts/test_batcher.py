"""Group commit: each caller its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from artifacts.batcher import Batcher
from artifacts.errors import ConflictError


async def test_callers_that_arrive_together_are_written_together() -> None:
    sizes: list[int] = []

    async def commit(values: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(values))
        await asyncio.sleep(0)
        return [value * 2 for value in values]

    batcher: Batcher[int, int] = Batcher(commit, limit=10)
    assert await asyncio.gather(*(batcher.submit(n) for n in range(25))) == [n * 2 for n in range(25)]
    assert max(sizes) <= 10
    assert len(sizes) < 25


async def test_a_member_that_is_refused_leaves_its_neighbours_alone() -> None:
    async def commit(values: Sequence[int]) -> list[int | Exception]:
        return [ConflictError("odd") if value % 2 else value for value in values]

    batcher: Batcher[int, int] = Batcher(commit, limit=10)
    answers = await asyncio.gather(*(batcher.submit(n) for n in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, ConflictError, int, ConflictError]


async def test_a_batch_that_fails_is_tried_member_by_member() -> None:
    async def commit(values: Sequence[int]) -> list[int | Exception]:
        if 3 in values:
            raise OSError("the index broke")
        return list(values)

    batcher: Batcher[int, int] = Batcher(commit, limit=10)
    answers = await asyncio.gather(*(batcher.submit(n) for n in range(5)), return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, int)] == [0, 1, 2, 4]
    assert isinstance(answers[3], OSError)


async def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    gate = asyncio.Event()

    async def commit(values: Sequence[int]) -> list[int | Exception]:
        await gate.wait()
        return list(values)

    batcher: Batcher[int, int] = Batcher(commit, limit=10)
    gone, stays = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    gone.cancel()
    gate.set()
    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await gone
