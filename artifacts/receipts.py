"""Receipts: small objects that say who hashed which bytes, and when.

Nothing reads a blob without a receipt. `api` receipts are written by the process that
took the bytes in; `worker` receipts by one that read them back from where they are
served. The signer believes only the latter, or its own eyes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import ValidationError

from artifacts import layout
from artifacts.clock import written
from artifacts.digest import Digest
from artifacts.errors import (
    AwaitingBytesError,
    CorruptedError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
)
from artifacts.limits import KIB
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import loads
from artifacts.wire import Wire, canonical

API = "api"
WORKER = "worker"
MAX_RECEIPT_BYTES: Final = 64 * KIB
"""Far more than any receipt takes."""

Due = Callable[[str, Digest], Awaitable[bool]]
"""Whether a worker is still to read back the bytes of a project that have this digest."""


class _ReceiptBody(Wire):
    receipt: Literal["custody/v1"]
    kind: Literal["api", "worker"]
    project: str
    digest: str
    size: int
    hashed_at: str
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """`found` is what the bytes hashed to; it differs from `digest` where they are damaged."""

    project: str
    kind: str
    digest: Digest
    size: int
    found: Digest

    @property
    def holds(self) -> bool:
        """Whether the bytes are what their name says."""
        return self.found == self.digest


async def write(store: ObjectStore, receipt: Receipt, *, at: datetime) -> None:
    """Publish `receipt`; the first one of its kind stays, but for one that tells of damage now mended."""
    if receipt.kind == WORKER and receipt.holds and await _tells_of_damage(store, receipt):
        await rewrite(store, receipt, at=at)
    else:
        await store.put(_key(receipt), _encoded(receipt, at))


async def rewrite(store: ObjectStore, receipt: Receipt, *, at: datetime) -> None:
    """Publish `receipt` in the place of one that cannot be read, or that is not true any more."""
    content = _encoded(receipt, at)
    await store.replace(await store.stage(_once(content), at=at, limit=len(content)), _key(receipt))


def _key(receipt: Receipt) -> layout.Key:
    return layout.receipt(receipt.project, receipt.digest, receipt.kind)


def _encoded(receipt: Receipt, at: datetime) -> bytes:
    members = {
        "receipt": "custody/v1",
        "kind": receipt.kind,
        "project": receipt.project,
        "digest": str(receipt.digest),
        "size": receipt.size,
        "hashed_at": written(at),
    }
    if not receipt.holds:
        members["found"] = str(receipt.found)
    return canonical(members).encode()


async def _tells_of_damage(store: ObjectStore, receipt: Receipt) -> bool:
    """Whether the receipt in the place of `receipt` vouches for nothing."""
    try:
        known = await read(store, receipt.project, receipt.digest, kind=receipt.kind)
    except CorruptedError:
        return True
    return known is not None and not known.holds


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def workers_word(store: ObjectStore, project: str, digest: Digest, *, due: Due) -> Receipt | None:
    """The worker's receipt for `digest`; damage counts only once no worker has to look (again).

    Raises:
        AwaitingBytesError: it tells of damage, and a worker is to look; a repair may have come since.
        CorruptedError: there is an object in its place that is no such receipt.
    """
    told = await read(store, project, digest, kind=WORKER)
    if told is None or told.holds:
        return told
    if await due(project, digest):
        raise AwaitingBytesError(
            "awaiting bytes: a worker still has to look again at bytes that were damaged", digest=str(digest)
        )
    # In this order: whoever looked again has written what it found before its job is gone.
    return await read(store, project, digest, kind=WORKER)


async def read(store: ObjectStore, project: str, digest: Digest, *, kind: str) -> Receipt | None:
    """The receipt of `kind` for `digest`, or None.

    Raises:
        CorruptedError: there is an object in its place that is no such receipt.
    """
    try:
        content = await read_at_most(store, layout.receipt(project, digest, kind), MAX_RECEIPT_BYTES)
    except NotFoundError:
        return None
    read_back = parse(content)
    if (read_back.project, read_back.kind, read_back.digest) != (project, kind, digest):
        raise CorruptedError("the receipt belongs elsewhere", digest=str(digest))
    return read_back


def parse(content: bytes) -> Receipt:
    """Read a receipt for a blob.

    Raises:
        CorruptedError: it is none.
    """
    try:
        body = _ReceiptBody.model_validate(loads(content))
        return Receipt(
            project=body.project,
            kind=body.kind,
            digest=Digest.parse(body.digest),
            size=body.size,
            found=Digest.parse(body.found or body.digest),
        )
    except (ValidationError, InvalidInputError, LimitExceededError) as error:
        raise CorruptedError("the receipt is not one of ours") from error
