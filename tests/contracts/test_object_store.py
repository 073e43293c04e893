"""What every object store promises; each back end runs the whole of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError, NotFoundError
from artifacts.layout import Key
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CONTENT = b"some bytes"
KEY = layout.blob("default", Digest.of(CONTENT))
UPLOAD = "01K00000000000000000000000"
MIB = 1 << 20
ROUNDS = 6
"""So often eight objects take each other's place while one is read."""


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    """A stream."""
    for piece in pieces:
        yield piece


async def names(store: ObjectStore, prefix: str = "") -> list[str]:
    """All keys below `prefix`."""
    return sorted([str(one.key) async for one in store.list(prefix)])


async def whole(store: ObjectStore, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
    """What `open` gives, joined."""
    return b"".join([piece async for piece in store.open(key, start=start, length=length)])


async def test_staged_bytes_are_hashed_and_not_yet_published(store: ObjectStore) -> None:
    content = bytes(range(256)) * 8000
    staged = await store.stage(chunks(content[:1000], content[1000:]), at=NOW, limit=10**7)
    assert (staged.digest, staged.size) == (Digest.of(content), len(content))
    assert await store.size(layout.blob("default", staged.digest)) is None
    assert await names(store) == [str(staged.key)]
    assert str(staged.key).startswith("staging/")


async def test_promoting_publishes_and_ends_the_staging(store: ObjectStore) -> None:
    staged = await store.stage(chunks(CONTENT), at=NOW, limit=100)
    await store.promote(staged, KEY)
    assert await store.read(KEY) == CONTENT
    assert await names(store) == [str(KEY)]


async def test_promoting_over_a_known_key_changes_nothing(store: ObjectStore) -> None:
    await store.put(KEY, CONTENT)
    staged = await store.stage(chunks(b"other bytes"), at=NOW, limit=100)
    await store.promote(staged, KEY)
    assert await store.read(KEY) == CONTENT
    assert await names(store) == [str(KEY)]


@pytest.mark.parametrize("size", [0, 10, 2 * MIB, 9 * MIB])
@pytest.mark.parametrize("before", [b"damaged", bytes(9 * MIB), None])
async def test_replacing_publishes_over_what_is_there(
    store: ObjectStore, before: bytes | None, size: int
) -> None:
    content = secrets.token_bytes(size)
    staged = await store.stage(chunks(content), at=NOW, limit=size)
    key = layout.blob("default", staged.digest)
    if before is not None:
        await store.put(key, before)
    await store.replace(staged, key)
    assert (await store.size(key), await whole(store, key)) == (size, content)
    assert await names(store) == [str(key)]


async def test_joined_parts_are_published_over_what_is_there(store: ObjectStore) -> None:
    part, content = layout.part(UPLOAD, 1), secrets.token_bytes(3 * MIB)
    await store.put(part, content)
    staged = await store.assemble([part], at=NOW)
    key = layout.blob("default", staged.digest)
    await store.put(key, b"damaged")
    await store.replace(staged, key)
    assert await whole(store, key) == content
    assert await names(store) == sorted([str(key), str(part)])


@pytest.mark.parametrize("size", [10, 2 * MIB])
async def test_while_objects_are_replaced_there_is_always_a_whole_one(store: ObjectStore, size: int) -> None:
    contents = [bytes([number]) * size for number in range(8)]
    await store.put(KEY, contents[0])
    seen, told = [], 0
    for _ in range(ROUNDS):
        staged = [await store.stage(chunks(content), at=NOW, limit=size) for content in contents]
        replacing = asyncio.gather(*(store.replace(one, KEY) for one in staged))
        while not replacing.done():
            try:
                seen.append(await whole(store, KEY))
            except CorruptedError:  # it was replaced just then, and the reader was told
                told += 1
        await replacing
    assert set(seen) <= set(contents)
    assert len(set(seen)) > 1, "nothing was replaced meanwhile"
    assert not (told and isinstance(store, DirectoryStore)), "a file that is open stays whole"
    assert await store.read(KEY) in contents
    assert await names(store) == [str(KEY)]


async def test_putting_twice_keeps_the_first(store: ObjectStore) -> None:
    await store.put(KEY, CONTENT)
    await store.put(KEY, b"other bytes")
    assert await store.read(KEY) == CONTENT


async def test_too_much_is_refused_and_nothing_is_left(store: ObjectStore) -> None:
    with pytest.raises(LimitExceededError):
        await store.stage(chunks(b"x" * 60, b"x" * 60), at=NOW, limit=100)
    assert await names(store) == []


async def test_a_stream_that_breaks_leaves_nothing(store: ObjectStore) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"first"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.stage(breaking(), at=NOW, limit=100)
    assert await names(store) == []


@pytest.mark.parametrize("size", [10, 2 * MIB, 20 * MIB])
async def test_discarding_leaves_nothing(store: ObjectStore, size: int) -> None:
    await store.discard(await store.stage(chunks(bytes(size)), at=NOW, limit=size))
    assert await names(store) == []


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 17 * MIB])
async def test_every_length_is_published_whole(store: ObjectStore, size: int) -> None:
    content = secrets.token_bytes(size)
    staged = await store.stage(chunks(content), at=NOW, limit=size)
    key = layout.blob("default", staged.digest)
    await store.promote(staged, key)
    assert (staged.digest, staged.size) == (Digest.of(content), size)
    assert (await store.size(key), await whole(store, key)) == (size, content)
    assert await names(store) == [str(key)]


@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB, 20 * MIB])
async def test_a_long_stream_that_breaks_leaves_nothing(store: ObjectStore, size: int) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        for _ in range(size // MIB):
            yield bytes(MIB)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.stage(breaking(), at=NOW, limit=10**9)
    assert await names(store) == []
    assert await store.forget_unfinished(before=datetime.now(UTC) + timedelta(days=1)) == 0


@pytest.mark.parametrize("sizes", [[0], [7], [6 * MIB, 3], [5 * MIB, 5 * MIB, 5 * MIB, 1]])
async def test_parts_are_joined_and_hashed_where_no_client_writes(
    store: ObjectStore, sizes: list[int]
) -> None:
    contents = [secrets.token_bytes(size) for size in sizes]
    parts = [layout.part(UPLOAD, number) for number in range(1, len(sizes) + 1)]
    for part, content in zip(parts, contents, strict=True):
        await store.put(part, content)
    staged = await store.assemble(parts, at=NOW)
    assert (staged.digest, staged.size) == (Digest.of(b"".join(contents)), sum(sizes))
    assert not str(staged.key).startswith("staging/")
    key = layout.blob("default", staged.digest)
    await store.promote(staged, key)
    assert await whole(store, key) == b"".join(contents)
    assert await names(store) == sorted([str(key), *map(str, parts)])


async def test_parts_that_are_not_there_are_not_joined(store: ObjectStore) -> None:
    await store.put(layout.part(UPLOAD, 1), bytes(5 * MIB))
    for absent in ([layout.part(UPLOAD, 1), layout.part(UPLOAD, 2)], [layout.part(UPLOAD, 3)]):
        with pytest.raises(NotFoundError):
            await store.assemble(absent, at=NOW)
    assert await names(store) == [str(layout.part(UPLOAD, 1))]


async def test_no_url_to_write_is_made_outside_staging(store: ObjectStore) -> None:
    for key in (KEY, layout.joined(UPLOAD), Key("staging-not/01")):
        with pytest.raises(InvalidInputError):
            store.presign_put(key, size=1, seconds=60)


@pytest.mark.parametrize(
    ("start", "length"), [(0, None), (5, None), (0, 4), (5, 3), (9, 100), (10, None), (3, 0)]
)
async def test_ranges_are_slices(store: ObjectStore, start: int, length: int | None) -> None:
    await store.put(KEY, CONTENT)
    wanted = CONTENT[start:] if length is None else CONTENT[start : start + length]
    assert await whole(store, KEY, start=start, length=length) == wanted
    assert await store.read(KEY, start=start, length=length) == wanted


async def test_large_content_comes_back_in_pieces_and_equal(store: ObjectStore) -> None:
    content = bytes(range(256)) * 20_000
    staged = await store.stage(
        chunks(*(content[i : i + 65_536] for i in range(0, len(content), 65_536))), at=NOW, limit=10**8
    )
    key = layout.blob("default", staged.digest)
    await store.promote(staged, key)
    assert await whole(store, key) == content
    assert await store.size(key) == len(content)


async def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    assert await store.size(KEY) is None
    await store.delete(KEY)
    with pytest.raises(NotFoundError):
        await store.read(KEY)
    with pytest.raises(NotFoundError):
        await whole(store, KEY)


async def test_deleting_removes(store: ObjectStore) -> None:
    await store.put(KEY, CONTENT)
    await store.delete(KEY)
    assert await store.size(KEY) is None


async def test_listing_follows_the_prefix_and_nothing_else(store: ObjectStore) -> None:
    for name in ("a/b/one", "a/b/two", "a/bc/three", "d"):
        await store.put(Key(name), name.encode())
    assert await names(store, "a/b/") == ["a/b/one", "a/b/two"]
    assert await names(store, "a/b") == ["a/b/one", "a/b/two", "a/bc/three"]
    assert await names(store, "nowhere/") == []
    assert await names(store) == ["a/b/one", "a/b/two", "a/bc/three", "d"]


async def test_sixty_four_writers_of_one_key_leave_one_whole_object(store: ObjectStore) -> None:
    contents = [bytes([number]) * 10_000 for number in range(64)]
    await asyncio.gather(*(store.put(KEY, content) for content in contents))
    assert await store.read(KEY) in contents
    assert await names(store) == [str(KEY)]
