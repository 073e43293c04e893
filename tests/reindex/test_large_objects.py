"""An object that is larger than its kind can be is never read: it would take all the memory there is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from artifacts import layout, receipts
from artifacts.control import BLOB, RemovalName
from artifacts.digest import Digest
from artifacts.errors import CorruptedError
from artifacts.layout import Key
from artifacts.limits import MAX_JSON_BYTES, MAX_MANIFEST_BYTES, MIB
from artifacts.receipts import MAX_RECEIPT_BYTES
from artifacts.storage.bounded import TOO_LARGE, read_at_most
from artifacts.storage.protocol import ObjectStore
from artifacts.storage.unchanging import UnchangingStore
from artifacts.trees import receipts as tree_receipts
from provenance.dsse import MAX_ENVELOPE_BYTES
from provenance.reindex.reading import BYTES_AT_ONCE, chunked
from provenance.reindex.reindexer import Reindexer
from tests.attacks.actors import an_id
from tests.attacks.planting import a_segment, honest, plant
from tests.reindex.corpus import believing, looking, objects
from tests.service import Service
from tests.trees.shapes import a_pack, a_tree, send

_DIGEST = Digest.of(b"large")
_ENDLESS = 100 * 1024 * MIB


class Unread(UnchangingStore):
    """The store of `service`, in which nobody may ask for more of `key` than `most` bytes."""

    def __init__(self, service: Service, key: Key, most: int = 0) -> None:
        super().__init__(service.store)
        self._key = key
        self._most = most

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """Read, unless it is too much."""
        assert key != self._key or (length is not None and length <= self._most)
        return await super().read(key, start=start, length=length)


def endless(service: Service, key: Key, size: int = _ENDLESS) -> None:
    """Plant an object of that size; it takes no room."""
    os.truncate(plant(service, key, b""), size)


@pytest.mark.parametrize(
    ("key", "size"),
    [
        (layout.attestation(_DIGEST), MAX_ENVELOPE_BYTES + 1),
        (layout.public_key(_DIGEST), MAX_JSON_BYTES + 1),
        (layout.refusal("default", an_id(), _DIGEST), MAX_JSON_BYTES + 1),
        (a_segment(an_id(), b"large"), _ENDLESS),
    ],
    ids=["a bundle", "a key", "a refusal", "a segment"],
)
async def test_a_reindex_leaves_it_out_unread(service: Service, fresh: Service, key: Key, size: int) -> None:
    await honest(service)
    endless(service, key, size)
    filling = Reindexer(fresh.database, Unread(service, key), fresh.clock, believing(fresh))
    report = await filling.run()
    assert [(one.key, one.reason) for one in report.quarantined] == [(str(key), TOO_LARGE)]
    assert report.counts["records signed"] == 1


async def test_a_reindex_reads_no_layout_of_that_size(service: Service, fresh: Service) -> None:
    tree = a_tree()
    async with service.client() as client:
        await send(client, tree, a_pack())
        await service.check_trees()
    (path,) = (objects(service) / "projects" / "default" / "layouts").rglob("*.zst")
    key = Key(str(path.relative_to(objects(service))))
    endless(service, key, MAX_MANIFEST_BYTES + 1)
    filling = Reindexer(fresh.database, Unread(service, key), fresh.clock, believing(fresh))
    assert [one.reason for one in (await filling.run()).quarantined] == [TOO_LARGE]


@pytest.mark.parametrize(
    "key",
    [
        layout.attestation(_DIGEST),
        layout.tombstone(RemovalName("default", BLOB, _DIGEST, 1)),
    ],
    ids=["a bundle", "a removal"],
)
async def test_the_signer_reads_none_at_its_start(service: Service, key: Key) -> None:
    await honest(service)
    endless(service, key)
    store = Unread(service, key, MAX_ENVELOPE_BYTES + 1)
    await replace(looking(service), store=store).check(now=service.clock.now())


async def test_of_a_receipt_no_more_is_read_than_receipts_have(service: Service) -> None:
    for kind in ("api", "worker", "tree"):
        key = layout.receipt("default", _DIGEST, kind)
        endless(service, key)
        store = Unread(service, key, MAX_RECEIPT_BYTES + 1)
        with pytest.raises(CorruptedError, match="larger"):
            await _read(store, kind)


async def _read(store: ObjectStore, kind: str) -> object:
    if kind == "tree":
        return await tree_receipts.read(store, "default", _DIGEST)
    return await receipts.read(store, "default", _DIGEST, kind=kind)


async def test_as_much_as_is_allowed_is_read(service: Service) -> None:
    plant(service, Key("control/x"), b"1234")
    assert await read_at_most(service.store, Key("control/x"), 4) == b"1234"
    with pytest.raises(CorruptedError):
        await read_at_most(service.store, Key("control/x"), 3)


async def test_large_objects_are_read_a_few_at_a_time() -> None:
    async def sizes() -> AsyncIterator[int]:
        for size in (1, BYTES_AT_ONCE, 1, 2, 3):
            yield size

    chunks = [chunk async for chunk in chunked(sizes(), size=2, weigh=lambda size: size)]
    assert chunks == [[1, BYTES_AT_ONCE], [1, 2], [3]]
    chunks = [chunk async for chunk in chunked(sizes(), size=9, weigh=lambda size: size)]
    assert chunks == [[1, BYTES_AT_ONCE], [1, 2, 3]]
