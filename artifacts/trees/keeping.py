"""Publishing manifests and layouts: over whatever lies in the place of one, if that is none.

They are named by their text and rest compressed, and a damaged one is replaced by what its
next writer compressed. So how it rests may change, and the row has to say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from datetime import datetime

from artifacts import layout
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, LimitExceededError, NotFoundError, UnavailableError
from artifacts.layout import Key
from artifacts.queries import scrubbing, trees
from artifacts.storage.protocol import ObjectStore, Staged
from artifacts.trees.layout_reading import unfolded
from artifacts.trees.reading import entries

_LOOKS = 8
"""How often a row is written again that somebody else's repair has outdated meanwhile."""


async def keep_manifest(
    store: ObjectStore, project: str, tree: Digest, staged: Staged, *, known: Digest | None
) -> tuple[Digest, int]:
    """Publish a manifest that was staged and read strictly; return digest and size of what rests there.

    `known` is the digest that the index has of it. The first manifest stays, however it was
    compressed; what is not the manifest of `tree` is replaced in one step.
    """
    key = layout.manifest(project, tree)
    found = await _hashed(store, key)
    if found is not None and found[0] in {staged.digest, known}:
        await store.discard(staged)
        return found
    if await store.size(key) is None or await _is_manifest(store, project, tree):
        await store.promote(staged, key)
    else:
        await store.replace(staged, key)
    return await _resting(store, key)


async def _hashed(store: ObjectStore, key: Key) -> tuple[Digest, int] | None:
    with contextlib.suppress(CorruptedError, NotFoundError):
        return await _resting(store, key)
    return None


async def _resting(store: ObjectStore, key: Key) -> tuple[Digest, int]:
    hasher = hashlib.sha256()
    size = 0
    async for piece in store.open(key):
        await asyncio.to_thread(hasher.update, piece)
        size += len(piece)
    return Digest("sha256", hasher.hexdigest()), size


async def _is_manifest(store: ObjectStore, project: str, tree: Digest) -> bool:
    with contextlib.suppress(CorruptedError, NotFoundError):
        async for _ in entries(store, project, tree):
            pass
        return True
    return False


async def keep_layout(
    store: ObjectStore, project: str, digest: Digest, written: bytes, *, at: datetime
) -> tuple[Digest, int]:
    """Publish the layout `digest`, compressed as `written`; return digest and size of what rests there."""
    key = layout.tree_layout(project, digest)
    await store.put(key, written)
    found = await _read(store, key)
    if found != written and not await asyncio.to_thread(_unfolds_to, digest, found):

        async def once() -> AsyncIterator[bytes]:
            yield written

        await store.replace(await store.stage(once(), at=at, limit=len(written)), key)
        found = await store.read(key)
    return Digest.of(found), len(found)


async def _read(store: ObjectStore, key: Key) -> bytes:
    with contextlib.suppress(CorruptedError):
        return await store.read(key)
    return b""


def _unfolds_to(digest: Digest, frame: bytes) -> bool:
    with contextlib.suppress(CorruptedError, LimitExceededError):
        return Digest.of(unfolded(frame)) == digest
    return False


async def agree(database: Database, store: ObjectStore, project: str, tree: Digest) -> None:
    """Let the row say how the manifest rests.

    Others may be replacing it at this moment, so whoever wrote the row looks once more: the
    last of them sees what stays.
    """
    key = layout.manifest(project, tree)
    for _ in range(_LOOKS):
        digest, size = await _resting(store, key)
        async with database.reading() as connection:
            row = await trees.find_tree(connection, project, tree)
        if row is None or row.stored == digest:
            return
        async with database.writing() as connection:
            await scrubbing.renew_manifest(connection, project, tree, stored=digest, size=size)
    raise UnavailableError("others are sending the same manifest; the same request may be repeated")
