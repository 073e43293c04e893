"""The worker's receipt for a tree: an object that says every byte of it was seen.

It has a place of its own, `receipts/tree/`, apart from receipts for blobs: the text of a
manifest may also be stored as a blob, and that somebody hashed this text says nothing
about the files it names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import ValidationError

from artifacts import layout
from artifacts.clock import written
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, InvalidInputError, LimitExceededError, NotFoundError
from artifacts.receipts import MAX_RECEIPT_BYTES
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from artifacts.strict_json import loads
from artifacts.wire import Wire, canonical

TREE: Final = "tree"


class _Body(Wire):
    receipt: Literal["custody/v1"]
    kind: Literal["tree"]
    project: str
    digest: str
    layout: str
    entries: int
    size: int
    hashed_at: str


@dataclass(frozen=True, slots=True)
class TreeReceipt:
    """Every content that the manifest `digest` names was decoded and hashed by a worker."""

    project: str
    digest: Digest
    layout: Digest
    entries: int
    size: int


async def write(store: ObjectStore, receipt: TreeReceipt, *, at: datetime) -> None:
    """Publish `receipt`; the first one stays."""
    await store.put(_key(receipt), _encoded(receipt, at))


async def rewrite(store: ObjectStore, receipt: TreeReceipt, *, at: datetime) -> None:
    """Publish `receipt` in the place of one that cannot be read, or that names another layout."""
    content = _encoded(receipt, at)

    async def once() -> AsyncIterator[bytes]:
        yield content

    await store.replace(await store.stage(once(), at=at, limit=len(content)), _key(receipt))


def _key(receipt: TreeReceipt) -> layout.Key:
    return layout.receipt(receipt.project, receipt.digest, TREE)


def _encoded(receipt: TreeReceipt, at: datetime) -> bytes:
    members = {
        "receipt": "custody/v1",
        "kind": TREE,
        "project": receipt.project,
        "digest": str(receipt.digest),
        "layout": str(receipt.layout),
        "entries": receipt.entries,
        "size": receipt.size,
        "hashed_at": written(at),
    }
    return canonical(members).encode()


async def read(store: ObjectStore, project: str, digest: Digest) -> TreeReceipt | None:
    """The receipt for the tree `digest`, or None.

    Raises:
        CorruptedError: there is an object in its place that is no such receipt.
    """
    try:
        content = await read_at_most(store, layout.receipt(project, digest, TREE), MAX_RECEIPT_BYTES)
    except NotFoundError:
        return None
    found = parse(content)
    if (found.project, found.digest) != (project, digest):
        raise CorruptedError("the receipt belongs elsewhere", digest=str(digest))
    return found


def parse(content: bytes) -> TreeReceipt:
    """Read a receipt for a tree.

    Raises:
        CorruptedError: it is none.
    """
    try:
        body = _Body.model_validate(loads(content))
        return TreeReceipt(
            body.project, Digest.parse(body.digest), Digest.parse(body.layout), body.entries, body.size
        )
    except (ValidationError, InvalidInputError, LimitExceededError) as error:
        raise CorruptedError("the receipt is not one of ours") from error
