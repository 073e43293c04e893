"""Attesting what was decided about stored bytes: removals and holds become signed objects.

As in `attest.py` the signer trusts no row, and nobody hands it a payload. For each job it

1. reads the topic strictly: a removal or a word about a hold, of one project, and nothing else;
2. finds the decision in tables that the api may not write, and builds it as strictly as a
   stranger's; whatever is no decision is never signed;
3. for a removal looks itself that nothing lies there any more;
4. states it by a pure function of the decision and signs: the same row gives the same object;
5. makes sure that the object in the bucket is the one it signed, then notes that in the row.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, receipts
from artifacts.clock import Clock, to_milliseconds
from artifacts.control import BLOB, Decision, EventName, RemovalName, Tombstone, named_by
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError, LimitExceededError
from artifacts.layout import Key
from artifacts.queries import decisions, queue, trees
from artifacts.queries import receipts as receipt_queries
from artifacts.queries.decisions import Found
from artifacts.queries.log_leaves import LOG
from artifacts.queries.queue import Job
from artifacts.storage.protocol import ObjectStore
from provenance import control
from provenance.bundle import Bundle
from provenance.signing import Signer, sealed
from provenance.writer import PAYLOAD_TYPE, encode

_AGAIN_MS: Final = 100
_AGAIN_MOST_MS: Final = 60_000
"""Between two looks at bytes that still lie there: twice as long each time, up to here."""


@dataclass(frozen=True, slots=True)
class ControlAttester:
    """Signs removals and holds with one key."""

    database: Database
    store: ObjectStore
    clock: Clock
    signer: Signer
    public_url: str

    async def attest(self, job: Job) -> None:
        """Sign the decision that `job` names, end a job that needs no signature, or give it back.

        Raises:
            InvalidInputError: it names none, or the row tells of none; the job is ended.
            LimitExceededError: likewise.
        """
        try:
            found = await self._found(named_by(job.project, job.topic))  # 1, 2
        except (InvalidInputError, LimitExceededError):
            try:
                raise
            finally:
                await self._end(job)
        if found is None or found.attested:
            await self._end(job)
        elif found.decision is None:
            await self._later(job)
        elif isinstance(found.decision, Tombstone) and await self._lies(found.decision.name):  # 3
            await self._not_gone(job, found.decision)
        else:
            await self._sign(job, found.decision)

    async def _found(self, name: RemovalName | EventName) -> Found | None:
        async with self.database.reading() as connection:
            return await decisions.find(connection, name)

    async def _lies(self, name: RemovalName) -> bool:
        """Step 3: whether any object is left of what was removed."""
        sizes = [await self.store.size(key) for key in _removed(name)]
        return any(size is not None for size in sizes)

    async def _not_gone(self, job: Job, removed: Tombstone) -> None:
        """Wait; but bytes that came again after they were gone are there by right, and need no tombstone."""
        async with self.database.reading() as connection:
            again = not removed.barred and await _is_known(connection, removed.name)
        await (self._end(job) if again else self._later(job))

    async def _sign(self, job: Job, decision: Decision) -> None:
        """Steps 4 and 5."""
        payload = encode(control.statement(decision, public_url=self.public_url))
        bundle = Bundle.of(sealed(PAYLOAD_TYPE, payload, self.signer)).to_bytes()
        await self._keep(key_of(decision.name), bundle)
        async with self.database.writing() as connection:
            if await queue.complete(connection, job):
                await decisions.attested(connection, decision.name, Digest.of(bundle))
                await queue.enqueue(
                    connection,
                    [(job.project, LOG, str(key_of(decision.name)))],
                    available_at=to_milliseconds(self.clock.now()),
                )

    async def _keep(self, key: Key, bundle: bytes) -> None:
        await self.store.put(key, bundle)
        if await self.store.read(key) != bundle:
            # Somebody who may write to the bucket was faster; a planted object must not keep ours out.
            staged = await self.store.stage(_whole(bundle), at=self.clock.now(), limit=len(bundle))
            await self.store.replace(staged, key)

    async def _end(self, job: Job) -> None:
        async with self.database.writing() as connection:
            await queue.complete(connection, job)

    async def _later(self, job: Job) -> None:
        pause = min(_AGAIN_MS << min(job.attempt - 1, 20), _AGAIN_MOST_MS)
        until = to_milliseconds(self.clock.now()) + pause
        async with self.database.writing() as connection:
            await queue.postpone(connection, job, until=until)


def key_of(name: RemovalName | EventName) -> Key:
    """Where the signed object of a decision lies."""
    return layout.tombstone(name) if isinstance(name, RemovalName) else layout.hold(name)


def _removed(name: RemovalName) -> list[Key]:
    """What a removal takes away, as far as names tell; the layouts of a tree have names of their own."""
    if name.kind == BLOB:
        vouching = [
            layout.receipt(name.project, name.digest, kind) for kind in (receipts.API, receipts.WORKER)
        ]
        return [*vouching, layout.blob(name.project, name.digest)]
    receipt = layout.receipt(name.project, name.digest, "tree")
    return [receipt, layout.manifest(name.project, name.digest)]


async def _is_known(connection: AsyncConnection, name: RemovalName) -> bool:
    """Whether the index has it, again."""
    if name.kind == BLOB:
        return await receipt_queries.stored_size(connection, name.project, name.digest) is not None
    return name.digest in await trees.states(connection, name.project, [name.digest])


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content
