"""Filing receipts: which bytes are stored.

Nobody signs receipts, here as little as in a running service: one counts if it lies where it
belongs and the blob beside it is as long as it says. Its bytes are hashed whenever they are
read, so a receipt that lies makes a blob that is never served whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from artifacts import layout, named_keys, receipts
from artifacts.clock import to_milliseconds
from artifacts.errors import CorruptedError
from artifacts.named_keys import Kind, Named
from artifacts.queries.reindexed_facts import ReceiptFact
from artifacts.storage.protocol import Listed, ObjectStore
from provenance.reindex.control import PURGED, Barred
from provenance.reindex.report import Report


async def receipted(
    store: ObjectStore, chunk: Sequence[Listed], report: Report, barred: Barred
) -> list[ReceiptFact]:
    """The receipts of `chunk` that count."""
    found = await asyncio.gather(*(_fact(store, listed, report, barred) for listed in chunk))
    return [fact for fact in found if fact is not None]


async def _fact(store: ObjectStore, listed: Listed, report: Report, barred: Barred) -> ReceiptFact | None:
    named = named_keys.named(listed.key)
    if named is None or named.kind is not Kind.RECEIPT:
        return None  # trees have their turn, strangers had theirs
    if barred.blob(named.project, named.digest.raw):
        report.doubt(listed.key, PURGED)
        return None
    try:
        size = await _vouched(store, named)
    except CorruptedError as error:
        report.doubt(listed.key, error.message)
        return None
    at = to_milliseconds(listed.changed_at)
    return ReceiptFact(named.project, named.digest.raw, named.detail, size, at)


async def _vouched(store: ObjectStore, named: Named) -> int:
    receipt = await receipts.read(store, named.project, named.digest, kind=named.detail)
    size = await store.size(layout.blob(named.project, named.digest))
    if receipt is None or size is None:
        raise CorruptedError("the receipt is for bytes that are not there")
    if not receipt.holds:
        raise CorruptedError("the receipt says that the bytes are damaged")
    if size != receipt.size:
        raise CorruptedError("the receipt is for bytes of another length")
    return size
