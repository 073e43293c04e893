"""Good bytes take the place of damaged ones, in every store and in any number at once."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import random
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from artifacts import layout, receipts
from artifacts.content import Content
from artifacts.db import Database, alter, connect
from artifacts.digest import Digest
from artifacts.errors import CorruptedError
from artifacts.receipts import Receipt
from artifacts.storage.protocol import ObjectStore
from migrations.upgrading import upgrade
from tests.contracts.test_object_store import chunks, names, whole
from tests.service import HandClock

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MIB = 1 << 20
REPAIRERS = 64


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Database]:
    """An index that is empty."""
    url = f"sqlite+aiosqlite:///{tmp_path}/index.db"
    await alter(url, upgrade)
    database = connect(url)
    yield database
    await database.close()


def content_of(store: ObjectStore, index: Database) -> Content:
    """What takes bytes in; its index knows of no removal."""
    return Content(index, store, HandClock())


async def left_behind(store: ObjectStore) -> list[str]:
    """What lies where nothing stays."""
    return [*await names(store, "staging/"), *await names(store, "joined/")]


@pytest.mark.parametrize(
    ("size", "damage"), [(100, b"bad"), (100, bytes(100)), (2 * MIB, b""), (2 * MIB, bytes(2 * MIB))]
)
async def test_of_sixty_four_repairs_at_once_every_acknowledged_one_is_readable(
    store: ObjectStore, index: Database, size: int, damage: bytes
) -> None:
    good = secrets.token_bytes(size)
    digest = Digest.of(good)
    key = layout.blob("default", digest)
    await store.put(key, damage)
    content = content_of(store, index)

    async def repair() -> None:
        received = await content.receive("default", chunks(good), declared=digest)
        assert (received.digest, received.size) == (digest, size)
        assert await whole(store, key) == good, "it was acknowledged"

    repairing = [asyncio.create_task(repair()) for _ in range(REPAIRERS)]
    # Every third of them dies somewhere on its way.
    for dying in repairing[::3]:
        await asyncio.sleep(random.uniform(0, 0.02))
        dying.cancel()
    ended = await asyncio.gather(*repairing, return_exceptions=True)
    assert [one for one in ended if one is not None and not isinstance(one, asyncio.CancelledError)] == []
    assert await whole(store, key) == good


class DiedError(Exception):
    """A process ended."""


class Stepwise:
    """A store whose caller waits before its call number `pause`, and dies before number `death`."""

    def __init__(self, store: ObjectStore, *, pause: int, death: int) -> None:
        self._store = store
        self._pause, self._death = pause, death
        self.calls = 0
        self.waits, self.goes_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:  # Any: a method of the store
        method = getattr(self._store, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def stepped(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._pause:
                self.waits.set()
                await self.goes_on.wait()
            if self.calls == self._death:
                raise DiedError
            return await method(*args, **kwargs)

        return stepped


async def _repair(store: ObjectStore, index: Database, good: bytes) -> None:
    await content_of(store, index).receive("default", chunks(good), declared=None)


async def _calls(store: ObjectStore, index: Database, good: bytes) -> int:
    counting = Stepwise(store, pause=0, death=0)
    await _repair(counting, index, good)
    return counting.calls


async def test_a_repairer_that_is_late_and_dies_takes_nothing_away(
    store: ObjectStore, index: Database
) -> None:
    """It waits before any of its calls while another one is acknowledged, and dies at any later one."""
    key = layout.blob("default", Digest.of(b"good"))
    await store.put(key, b"bad")
    calls = await _calls(store, index, b"good")
    assert calls >= 5
    for pause, death in itertools.combinations_with_replacement(range(1, calls + 1), 2):
        damage = await store.stage(chunks(b"bad"), at=NOW, limit=3)
        await store.replace(damage, key)
        late = Stepwise(store, pause=pause, death=death)
        repairing = asyncio.create_task(_repair(late, index, b"good"))
        await late.waits.wait()
        await _repair(store, index, b"good")
        assert await whole(store, key) == b"good"
        late.goes_on.set()
        with contextlib.suppress(DiedError):
            await repairing
        assert await whole(store, key) == b"good", (pause, death)


async def test_what_is_good_is_never_replaced(store: ObjectStore, index: Database) -> None:
    content = content_of(store, index)
    await content.receive("default", chunks(b"good"), declared=None)
    before = [listed async for listed in store.list("projects/")]
    received = await content.receive("default", chunks(b"good"), declared=None)
    assert [listed async for listed in store.list("projects/")] == before
    assert received.again, "no worker has looked yet"
    await content.read_back("default", received.digest)
    assert not (await content.receive("default", chunks(b"good"), declared=None)).again
    assert await left_behind(store) == []


async def test_a_word_of_damage_is_unsaid_once_the_bytes_are_good(
    store: ObjectStore, index: Database
) -> None:
    content, digest = content_of(store, index), Digest.of(b"good")
    await store.put(layout.blob("default", digest), b"bad")
    assert not (await content.read_back("default", digest)).holds
    assert (await content.receive("default", chunks(b"good"), declared=None)).again
    assert await receipts.read(store, "default", digest, kind=receipts.WORKER) is None
    await content.read_back("default", digest)
    told = await receipts.read(store, "default", digest, kind=receipts.WORKER)
    assert told is not None
    assert told.holds


async def test_a_worker_that_looked_before_the_repair_does_not_have_the_last_word(
    store: ObjectStore, index: Database
) -> None:
    content, digest = content_of(store, index), Digest.of(b"good")
    await content.receive("default", chunks(b"good"), declared=None)
    late = Receipt("default", receipts.WORKER, digest, 3, Digest.of(b"bad"))
    await receipts.write(store, late, at=NOW)
    assert (await content.read_back("default", digest)).holds
    told = await receipts.read(store, "default", digest, kind=receipts.WORKER)
    assert told == Receipt("default", receipts.WORKER, digest, 4, digest)
    await receipts.write(store, late, at=NOW)
    assert await receipts.read(store, "default", digest, kind=receipts.WORKER) == told
    assert await left_behind(store) == []


async def test_a_receipt_that_is_none_is_written_again(store: ObjectStore, index: Database) -> None:
    content, digest = content_of(store, index), Digest.of(b"good")
    place = layout.receipt("default", digest, receipts.WORKER)
    await store.put(place, b"no receipt")
    await content.receive("default", chunks(b"good"), declared=None)
    assert await store.size(place) is None, "what vouches for nothing goes when the bytes come"
    await store.put(place, b"no receipt")
    with pytest.raises(CorruptedError):
        await receipts.read(store, "default", digest, kind=receipts.WORKER)
    await content.read_back("default", digest)
    assert await receipts.read(store, "default", digest, kind=receipts.WORKER) is not None


@pytest.mark.parametrize("told", [None, b"bad", b"good"])
async def test_a_word_of_damage_does_not_outlive_the_bytes_it_was_about(
    store: ObjectStore, index: Database, told: bytes | None
) -> None:
    """An operator removed what was damaged, and the good bytes are sent again."""
    content, digest = content_of(store, index), Digest.of(b"good")
    key = layout.blob("default", digest)
    if told is not None:
        await store.put(key, told)
        await content.read_back("default", digest)
        await store.delete(key)
    received = await content.receive("default", chunks(b"good"), declared=None)
    assert received.again == (told == b"bad"), "a worker has to look again where damage was unsaid"
    receipt = await receipts.read(store, "default", digest, kind=receipts.WORKER)
    assert receipt == (Receipt("default", receipts.WORKER, digest, 4, digest) if told == b"good" else None)
