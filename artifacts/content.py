"""Taking bytes in and giving them out.

The order of DESIGN section 6 for content-addressed writes: bytes, then receipt, then row.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import (
    BeingRemovedError,
    CorruptedError,
    DigestMismatchError,
    NotFoundError,
    PurgedError,
    QuotaExceededError,
)
from artifacts.layout import Key
from artifacts.limits import MAX_BLOB_BYTES
from artifacts.queries import queue, uses
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.queue import Job
from artifacts.receipts import Receipt
from artifacts.removal import NEVER_REMOVED, Removals, Standing
from artifacts.storage.protocol import ObjectStore, Staged

HASH = "hash"
"""The queue of blobs to be read back; its topics are sha256 hex."""
_LOOKS = 4
"""How often an object is read that others replace meanwhile."""


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes that are stored and have the api's receipt, and no row yet."""

    digest: Digest
    size: int
    again: bool = False
    """Something lay under their name that no worker vouches for: one must look, again if it has."""
    standing: Standing = NEVER_REMOVED
    """How the digest stood before they were published."""


class Admission(Protocol):
    """Decides whether a project may keep more bytes."""

    async def admit(self, project: str, digest: Digest, size: int, *, manifest: bool = False) -> None:
        """Return if `project` may keep `size` bytes under `digest`, as a blob or as the manifest of a tree.

        Raises:
            QuotaExceededError: it may not.
        """

    def settled(self, project: str, digest: Digest, *, manifest: bool = False) -> None:
        """Note that the row of what was admitted is written."""


class Content:
    """The bytes of every project, each in its own world."""

    def __init__(
        self, database: Database, store: ObjectStore, clock: Clock, admission: Admission | None = None
    ) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._admission = admission
        self._removals = Removals(database, store, clock)

    async def receive(
        self, project: str, content: AsyncIterable[bytes], *, declared: Digest | None
    ) -> Received:
        """Keep `content` under its digest; durable when this returns.

        Raises:
            DigestMismatchError: the bytes do not hash to `declared`; nothing is left.
            LimitExceededError: there are too many, or too many for the project; nothing is left.
            BeingRemovedError: such bytes are being removed at the moment; nothing is left.
            PurgedError: they were removed for good; nothing is left.
        """
        staged = await self._store.stage(content, at=self._clock.now(), limit=MAX_BLOB_BYTES)
        if declared is not None and staged.digest != declared:
            await self._store.discard(staged)
            raise DigestMismatchError(
                "other bytes arrived than were declared",
                hint="the file changed while it was sent, or the digest is of another file",
                declared=str(declared),
                arrived=str(staged.digest),
            )
        try:
            standing = await self._admitted(project, staged)
        except (QuotaExceededError, BeingRemovedError, PurgedError):
            await self._store.discard(staged)
            raise
        again = await self.publish(project, staged)
        receipt = Receipt(project, receipts.API, staged.digest, staged.size, staged.digest)
        await receipts.write(self._store, receipt, at=self._clock.now())
        return Received(staged.digest, staged.size, again, standing)

    async def _admitted(self, project: str, staged: Staged) -> Standing:
        """Only now it is known what they are, and bytes that are here already are always welcome."""
        standing = await self._removals.standing(project, BLOB, staged.digest)
        if self._admission is not None:
            await self._admission.admit(project, staged.digest, staged.size)
        return standing

    async def publish(self, project: str, staged: Staged) -> bool:
        """Publish what was staged under its digest; return whether a worker must look at it again.

        When this returns, what lies there was hashed: in the staging, or where it lies. Damage
        is never removed, so any number of callers may find the same and mend it at once. Whether
        the bytes were removed meanwhile turns out in `note`.

        Raises:
            CorruptedError: what lies there is damaged and cannot be replaced.
        """
        key = layout.blob(project, staged.digest)
        size = await self._store.size(key)
        if size is None or (size == staged.size and await self._holds(key, staged.digest)):
            await self._store.promote(staged, key)
        else:
            await self._store.replace(staged, key)
            if not await self._holds(key, staged.digest):
                raise CorruptedError(
                    "good bytes do not take the place of damaged ones",
                    hint="custody-server doctor says more about the store",
                    digest=str(staged.digest),
                )
        confirmed = await self._confirmed(project, staged.digest)
        # Where nothing lay, nobody need look again, unless damage was told of what lay there once.
        return confirmed is False or (confirmed is None and size is not None)

    async def _holds(self, key: Key, digest: Digest) -> bool:
        for _ in range(_LOOKS):
            # Somebody else may be replacing it at this moment.
            with contextlib.suppress(CorruptedError, NotFoundError):
                return (await self._hashed(key))[0] == digest
        return False

    async def _confirmed(self, project: str, digest: Digest) -> bool | None:
        """Whether a worker says that the bytes are right, None if it says nothing; of damage it is unsaid.

        The signer waits then, until a worker has looked again, instead of refusing.
        """
        with contextlib.suppress(CorruptedError):
            receipt = await receipts.read(self._store, project, digest, kind=receipts.WORKER)
            if receipt is None or receipt.holds:
                return None if receipt is None else True
        await self._store.delete(layout.receipt(project, digest, receipts.WORKER))
        return False

    async def _hashed(self, key: Key) -> tuple[Digest, int]:
        hasher = hashlib.sha256()
        size = 0
        async for piece in self._store.open(key):
            await asyncio.to_thread(hasher.update, piece)
            size += len(piece)
        return Digest("sha256", hasher.hexdigest()), size

    async def note(self, connection: AsyncConnection, project: str, received: Received) -> bool:
        """Write the row of `received` and let a worker read it back; return whether it was new.

        Raises:
            BeingRemovedError: a removal was decided since it began to be published.
        """
        await self._removals.check(connection, project, BLOB, received.digest, received.standing)
        now = to_milliseconds(self._clock.now())
        new = await receipt_queries.add_receipt(
            connection, project, received.digest, kind=receipts.API, size=received.size, at=now
        )
        if new or received.again:
            enqueue = queue.enqueue_again if received.again else queue.enqueue
            await enqueue(connection, [(project, HASH, received.digest.hex)], available_at=now)
        if not new:
            await uses.name(connection, project, [received.digest], at=now)
        if self._admission is not None:
            self._admission.settled(project, received.digest)
        return new

    async def size(self, project: str, digest: Digest) -> int:
        """The size of a blob this project has proven.

        Raises:
            NotFoundError: it has not.
        """
        async with self._database.reading() as connection:
            size = await receipt_queries.stored_size(connection, project, digest)
        if size is None or digest.algorithm != "sha256":
            raise NotFoundError("these bytes are not stored here", digest=str(digest))
        return size

    async def open(self, project: str, digest: Digest) -> AsyncIterator[bytes]:
        """The bytes of a blob, hashed on the way out.

        The last piece is held back until all of them hash to `digest`, so a reader never
        completes a response of wrong bytes.

        Raises:
            CorruptedError: they do not; the response stays short.
        """
        hasher = hashlib.sha256()
        held = b""
        async for piece in self._store.open(layout.blob(project, digest)):
            if held:
                yield held
            await asyncio.to_thread(hasher.update, piece)
            held = piece
        if hasher.hexdigest() != digest.hex:
            raise CorruptedError("the stored content is damaged and is not served", digest=str(digest))
        yield held

    async def read_back(self, project: str, digest: Digest, *, job: Job | None = None) -> Receipt:
        """Hash what is stored under `digest`, write the worker's receipt, and return it.

        Of damage nothing is written once `job` was lost: the bytes may be mended since.
        """
        found, size = await self._hashed(layout.blob(project, digest))
        receipt = Receipt(project, receipts.WORKER, digest, size, found)
        if receipt.holds or job is None or await self._counts(job):
            await receipts.write(self._store, receipt, at=self._clock.now())
        return receipt

    async def _counts(self, job: Job) -> bool:
        async with self._database.writing() as connection:
            return await queue.holds(connection, job)

    async def to_be_read_back(self, project: str, digest: Digest) -> bool:
        """Whether a worker is still to read back the bytes under `digest`."""
        async with self._database.reading() as connection:
            return await queue.is_queued(connection, project, HASH, digest.hex)
