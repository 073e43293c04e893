"""Resumable uploads: parts that arrive in any order, joined and hashed where no client can write.

Bytes arrive in `staging/`, through us or by a URL of the store. What is published is none
of those objects: the parts are joined under a key that no client was ever given a URL for,
that copy is hashed, and that copy is published. A part that is replaced meanwhile changes
nothing that counts; a copy that hashes to something else is refused, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content, Received
from artifacts.control import BLOB
from artifacts.db import Database
from artifacts.digest import Digest, DigestSet
from artifacts.errors import (
    ConflictError,
    CorruptedError,
    DigestMismatchError,
    InvalidInputError,
    NotFoundError,
    PurgedError,
)
from artifacts.identifiers import checked_ulid, new_ulid
from artifacts.labour import LEASE_MS
from artifacts.layout import Key
from artifacts.limits import MAX_BLOB_BYTES, MAX_UPLOAD_URLS, SMALL_BLOB_BYTES, UPLOAD_PART_BYTES, URL_SECONDS
from artifacts.queries import facts, queue, uploads, uses
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.queue import Job
from artifacts.queries.uploads import UploadRow, UploadState
from artifacts.receipts import Receipt
from artifacts.refs import ArtifactRef
from artifacts.removal import Removals
from artifacts.storage.protocol import ObjectStore

JOIN: Final = "join"
"""The queue of uploads to be joined; its topics are their ids."""
_REPORTED: Final = 100


@dataclass(frozen=True, slots=True)
class Progress:
    """An upload, which of its parts have arrived, and where the next ones can be sent."""

    row: UploadRow
    received: Sequence[int]
    urls: Mapping[int, str] | None


class Uploads:
    """The api's side: announce, take parts, complete. Every call may be repeated."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._joiner = Joiner(database, store, clock)
        self._removals = Removals(database, store, clock)

    async def begin(self, project: str, sender: str, *, digest: Digest, size: int) -> Progress:
        """Announce `size` bytes that will hash to `digest`.

        Raises:
            PurgedError: such bytes were removed for good.
        """
        if digest.algorithm != "sha256" or not 0 <= size <= MAX_BLOB_BYTES:
            raise InvalidInputError(f"an upload has a sha256 and 0 to {MAX_BLOB_BYTES} bytes")
        now = self._clock.now()
        await self._removals.refuse_purged(project, digest)
        row = UploadRow(
            project, new_ulid(now), sender, digest, size, UploadState.OPEN, None, to_milliseconds(now)
        )
        async with self._database.writing() as connection:
            await uploads.add(connection, row)
        return Progress(row, [], self._urls(row, set()))

    async def find(self, project: str, id_: str, *, sender: str | None = None) -> UploadRow:
        """The upload of that id, if anybody's of the project will do or it is that sender's.

        Raises:
            NotFoundError: there is none, or it was never completed and has been swept.
        """
        async with self._database.reading() as connection:
            row = await uploads.find(connection, project, checked_ulid(id_))
        if row is None or sender not in (None, row.principal):
            raise NotFoundError("there is no such upload", hint="begin a new one", upload=id_)
        return row

    async def progress(self, project: str, id_: str) -> Progress:
        """What has arrived, and fresh URLs for what has not."""
        row = await self.find(project, id_)
        if row.state is not UploadState.OPEN:
            return Progress(row, [], None)
        received = await self._received(row)
        return Progress(row, sorted(received), self._urls(row, received))

    async def _received(self, row: UploadRow) -> set[int]:
        """The parts that are there and as long as they must be."""
        prefix = layout.parts(row.id)
        found = set()
        async for listed in self._store.list(prefix):
            written = str(listed.key).removeprefix(prefix)
            # Whoever may write to the bucket may have put anything there.
            number = int(written) if written.isdecimal() else 0
            due = number in part_numbers(row.size) and listed.key == layout.part(row.id, number)
            if due and listed.size == part_size(row.size, number):
                found.add(number)
        return found

    def _urls(self, row: UploadRow, received: set[int]) -> dict[int, str] | None:
        urls: dict[int, str] = {}
        for number in part_numbers(row.size):
            if number not in received and len(urls) < MAX_UPLOAD_URLS:
                size = part_size(row.size, number)
                url = self._store.presign_put(layout.part(row.id, number), size=size, seconds=URL_SECONDS)
                if url is None:
                    return None
                urls[number] = url
        return urls

    async def put_part(
        self, row: UploadRow, number: int, content: AsyncIterable[bytes], *, declared: Digest | None
    ) -> int:
        """Take one part through us; return its size. The first that arrives whole stays.

        Raises:
            ConflictError: the upload is completed already.
            InvalidInputError: it has no such part, or one of another length.
            DigestMismatchError: other bytes arrived than declared.
        """
        if row.state is not UploadState.OPEN:
            raise ConflictError("the upload is completed already", state=row.state.value)
        if number not in part_numbers(row.size):
            raise InvalidInputError("the upload has no such part", parts=len(part_numbers(row.size)))
        size = part_size(row.size, number)
        staged = await self._store.stage(content, at=self._clock.now(), limit=size)
        wrong: Exception | None = None
        if staged.size != size:
            wrong = InvalidInputError("the part is too short", expected=size, arrived=staged.size)
        elif declared is not None and staged.digest != declared:
            wrong = DigestMismatchError("other bytes arrived than were declared", declared=str(declared))
        if wrong is not None:
            await self._store.discard(staged)
            raise wrong
        await self._store.promote(staged, layout.part(row.id, number))
        return size

    async def complete(self, row: UploadRow) -> UploadRow:
        """Let the parts be joined and checked; small uploads at once, others by a worker.

        Raises:
            ConflictError: parts are missing.
        """
        if row.state is UploadState.OPEN:
            missing = sorted(set(part_numbers(row.size)) - await self._received(row))
            if missing:
                raise ConflictError("parts are missing", missing=missing[:_REPORTED], count=len(missing))
            now = to_milliseconds(self._clock.now())
            async with self._database.writing() as connection:
                if await uploads.move(connection, row, to=UploadState.CHECKING):
                    await queue.enqueue(connection, [(row.project, JOIN, row.id)], available_at=now)
            row = await self.find(row.project, row.id)
        if row.state is UploadState.CHECKING and row.size <= SMALL_BLOB_BYTES:
            await self._joiner.settle(row, kind=receipts.API)
            row = await self.find(row.project, row.id)
        return row

    async def wait_settled(self, row: UploadRow, *, seconds: float) -> UploadRow:
        """Return the upload when it is present or refused, or after `seconds`."""
        deadline = asyncio.get_running_loop().time() + seconds
        while row.state is UploadState.CHECKING and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
            row = await self.find(row.project, row.id)
        return row


class Joiner:
    """Joins, hashes and publishes completed uploads; safe to repeat, safe to race."""

    def __init__(self, database: Database, store: ObjectStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._content = Content(database, store, clock)
        self._removals = Removals(database, store, clock)

    def _now(self) -> int:
        return to_milliseconds(self._clock.now())

    async def join(self, job: Job) -> None:
        """Settle the upload that `job` names."""
        async with self._database.reading() as connection:
            row = await uploads.find(connection, job.project, job.topic)
        if row is not None and row.state is UploadState.CHECKING:
            async with self._kept(job):
                await self.settle(row, kind=receipts.WORKER)
        async with self._database.writing() as connection:
            await queue.complete(connection, job)

    @contextlib.asynccontextmanager
    async def _kept(self, job: Job) -> AsyncIterator[None]:
        """Renew the lease while the block runs: reading 64 GiB takes longer than one."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_MS / 3000)
                async with self._database.writing() as connection:
                    await queue.renew(connection, job, until=self._now() + LEASE_MS)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def settle(self, row: UploadRow, *, kind: str) -> None:
        """Publish what was uploaded if it is what was announced, else refuse it for ever.

        1. The parts are joined under a key that no client can name, and that copy is hashed.
        2. Another digest or length ends the upload: nothing is published.
        3. That very copy is published. An object that was there before is read again, because
           it is not the one that was just hashed; if it is damaged, the copy takes its place.
        4. Receipt, then rows; the parts go last.

        Raises:
            BeingRemovedError: such bytes are being removed; the parts wait until they are gone.
        """
        parts = [layout.part(row.id, number) for number in part_numbers(row.size)]
        try:
            standing = await self._removals.standing(row.project, BLOB, row.digest)
            staged = await self._store.assemble(parts, at=self._clock.now())  # 1
        except NotFoundError:
            await self._refuse(row, "a part was gone before it was checked", parts)
            return
        except PurgedError as error:
            await self._refuse(row, error.message, parts)
            return
        if (staged.digest, staged.size) != (row.digest, row.size):  # 2
            await self._store.discard(staged)
            await self._refuse(row, f"other bytes arrived than were declared: {staged.digest}", parts)
            return
        key = layout.blob(row.project, row.digest)
        known = await self._store.size(key)
        if known is not None and kind == receipts.API:
            await self._store.discard(staged)
            return  # to read back what is served is the worker's task, and its job is queued
        try:
            again = await self._content.publish(row.project, staged)  # 3
        except CorruptedError as error:
            await self._refuse(row, error.message, parts)
            return
        receipt = Receipt(row.project, kind, row.digest, row.size, staged.digest)
        await receipts.write(self._store, receipt, at=self._clock.now())  # 4
        await self._settled(row, receipt, Received(receipt.digest, receipt.size, again, standing))
        await self._clear(parts)

    async def _settled(self, row: UploadRow, receipt: Receipt, received: Received) -> None:
        async with self._database.writing() as connection:
            if await uploads.move(connection, row, to=UploadState.PRESENT):
                if not row.by_step:  # what a step sends is an artifact once the step names it
                    ref = ArtifactRef(DigestSet.only(row.digest))
                    await facts.record_refs(connection, [(row.project, ref)], at=self._now())
                await self._note(connection, receipt, received)

    async def _note(self, connection: AsyncConnection, receipt: Receipt, received: Received) -> None:
        project, digest = receipt.project, receipt.digest
        if receipt.kind == receipts.API:
            await self._content.note(connection, project, received)
            return
        await self._removals.check(connection, project, BLOB, digest, received.standing)
        new = await receipt_queries.add_receipt(
            connection, project, digest, kind=receipt.kind, size=receipt.size, at=self._now()
        )
        if not new:
            await uses.name(connection, project, [digest], at=self._now())

    async def _refuse(self, row: UploadRow, reason: str, parts: Sequence[Key]) -> None:
        async with self._database.writing() as connection:
            await uploads.move(connection, row, to=UploadState.REFUSED, reason=reason)
        await self._clear(parts)

    async def _clear(self, parts: Sequence[Key]) -> None:
        for part in parts:
            await self._store.delete(part)


def part_numbers(size: int) -> range:
    """The numbers of the parts of `size` bytes; there is always one."""
    return range(1, max(1, -(-size // UPLOAD_PART_BYTES)) + 1)


def part_size(size: int, number: int) -> int:
    """The length of part `number`: all are equal but the last."""
    return min(UPLOAD_PART_BYTES, size - (number - 1) * UPLOAD_PART_BYTES)
