"""What the worker does beside reading blobs back: complete, expire, sweep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock, to_milliseconds
from artifacts.content import Content
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, NotFoundError
from artifacts.layout import JOINED, STAGING
from artifacts.limits import IDEMPOTENCY_SECONDS, STAGING_SECONDS
from artifacts.queries import queue, receipts, steps, tokens, trees, uploads
from artifacts.queries.queue import Job
from artifacts.receipts import Receipt
from artifacts.removal import Removals
from artifacts.seal import Seal
from artifacts.sealing import Finish, Sealer
from artifacts.steps import Outcome
from artifacts.storage.protocol import ObjectStore
from artifacts.wire import FinishBody

_SEALING_GRACE = timedelta(seconds=5)
"""An api that is alive completes its own sealing far sooner; publishing twice would be harmless."""
_AT_ONCE = 200


class Upkeep:
    """Keeps the house in order; every call may be repeated and run beside others."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        clock: Clock,
        seal: Seal | None = None,
        *,
        damaged: Callable[[], None] | None = None,
    ) -> None:
        self._damaged = damaged
        self._database = database
        self._store = store
        self._clock = clock
        self._content = Content(database, store, clock)
        self._removals = Removals(database, store, clock)
        self._sealer = Sealer(database, store, clock, seal)

    async def read_back(self, job: Job) -> None:
        """Hash a blob where it is served and write the worker's receipt."""
        digest = Digest("sha256", job.topic)
        try:
            receipt = await self._content.read_back(job.project, digest, job=job)
        except NotFoundError:
            receipt = None  # it was deleted; there is nothing to vouch for
        if receipt is not None and not receipt.holds and self._damaged is not None:
            self._damaged()
        async with self._database.writing() as connection:
            ended = await queue.complete(connection, job)
            if ended and receipt is not None:
                await self._note(connection, receipt)
        if not ended:
            await self._removals.unsay(job.project, digest)

    async def _note(self, connection: AsyncConnection, receipt: Receipt) -> None:
        """Let the index know what was seen: of damage, so that whoever has the good bytes sends them."""
        project, digest, now = receipt.project, receipt.digest, to_milliseconds(self._clock.now())
        if not receipt.holds:
            await receipts.note_damage(connection, project, digest, at=now)
            return
        await receipts.forget_damage(connection, project, digest)
        size, kind = receipt.size, receipt.kind
        await receipts.add_receipt(connection, project, digest, kind=kind, size=size, at=now)

    async def tidy(self) -> int:
        """Complete sealings, seal expired steps, sweep stale uploads; return how much was done."""
        now = self._clock.now()
        done = await self._sealer.resume(before=to_milliseconds(now - _SEALING_GRACE))
        done += await self._expire()
        done += await self._sweep()
        oldest = to_milliseconds(now - timedelta(seconds=IDEMPOTENCY_SECONDS))
        async with self._database.writing() as connection:
            done += await trees.forget_senders(connection, now=to_milliseconds(now))
            return done + await tokens.forget_answers(connection, before=oldest)

    async def _expire(self) -> int:
        now = to_milliseconds(self._clock.now())
        async with self._database.reading() as connection:
            over = await steps.expired(connection, now=now, limit=_AT_ONCE)
        done = 0
        for project, step in over:
            try:
                await self._sealer.seal(Finish(project, step, FinishBody(outcome=Outcome.UNKNOWN)))
            except CustodyError:  # its own finish came first
                continue
            done += 1
        return done

    async def _sweep(self) -> int:
        """Remove what was uploaded and never finished; parts that are still needed stay."""
        oldest = self._clock.now() - timedelta(seconds=STAGING_SECONDS)
        async with self._database.writing() as connection:
            done = await uploads.forget_open(connection, before=to_milliseconds(oldest))
            needed = await uploads.under_way(connection, since=to_milliseconds(oldest))
        for place in (STAGING, JOINED):
            async for listed in self._store.list(f"{place}/"):
                owner = str(listed.key).removeprefix(f"{place}/").partition("-")[0]
                if listed.changed_at < oldest and owner not in needed:
                    await self._store.delete(listed.key)
                    done += 1
        return done + await self._store.forget_unfinished(before=oldest)
