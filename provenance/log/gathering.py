"""From the queue to leaves: bundles are read, and those that our keys signed become leaves.

A job only says where to look. Whose a bundle is, the signer's own rows say, or the name of a
control object; that it was signed, its signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import layout, named_keys
from artifacts.clock import Clock, to_milliseconds
from artifacts.control import EventName, RemovalName
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError, NotFoundError, UnavailableError
from artifacts.layout import Key
from artifacts.queries import log_leaves, queue
from artifacts.queries.log_leaves import LOG, Numbered
from artifacts.queries.queue import Job
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from provenance import dsse
from provenance.attest_control import key_of
from provenance.bundle import Bundle
from provenance.dsse import MAX_ENVELOPE_BYTES
from provenance.keys import PublicKey
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash

UNNUMBERED: Final = -1
_AGAIN_MS: Final = 100
_AGAIN_MOST_MS: Final = 60_000
"""Between two looks at a bundle that is not there yet: twice as long each time, up to here."""


@dataclass(slots=True)
class Gathered:
    """What a group of jobs came to."""

    leaves: list[tuple[Job, Numbered]] = field(default_factory=list)
    wait: list[Job] = field(default_factory=list)
    """Nothing can be said of their bundles yet."""
    refused: list[tuple[Job, CustodyError]] = field(default_factory=list)
    """No leaf will ever come of them."""


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Makes leaves of what `keys` signed."""

    database: Database
    store: ObjectStore
    clock: Clock
    keys: frozenset[PublicKey]

    async def gather(self, jobs: Sequence[Job]) -> Gathered:
        """Read the bundles of `jobs`; oldest first."""
        gathered, read = Gathered(), []
        for job in sorted(jobs, key=lambda one: one.id):
            try:
                key = Key(job.topic)
                read.append((job, key, await read_at_most(self.store, key, MAX_ENVELOPE_BYTES)))
            except (NotFoundError, UnavailableError):
                gathered.wait.append(job)
            except CustodyError as error:
                gathered.refused.append((job, error))
        async with self.database.reading() as connection:
            owners = await log_leaves.signed_in(connection, [Digest.of(content) for _, _, content in read])
        for job, key, content in read:
            try:
                gathered.leaves.append((job, self._leaf(job, key, content, owners)))
            except CustodyError as error:
                gathered.refused.append((job, error))
        return gathered

    def _leaf(self, job: Job, key: Key, content: bytes, owners: dict[Digest, str]) -> Numbered:
        digest, decided = Digest.of(content), named_keys.decision(key)
        owner = owners.get(digest) if decided is None else decided.project
        if owner != job.project or (decided is None and key != layout.attestation(digest)):
            raise EvidenceError("nothing that was signed in this project lies there")
        bundle = Bundle.parse(content)
        [signer] = dsse.verify(bundle.envelope, self.keys)
        leaf = Leaf.of(bundle, signer).to_bytes()
        return Numbered(UNNUMBERED, owner, digest, leaf_hash(leaf), leaf)

    async def give_back(self, gathered: Gathered) -> None:
        """Let jobs wait whose bundles are not there yet, and end those that come to nothing."""
        now = to_milliseconds(self.clock.now())
        if not gathered.wait and not gathered.refused:
            return
        async with self.database.writing() as connection:
            for job in gathered.wait:
                pause = min(_AGAIN_MS << min(job.attempt - 1, 20), _AGAIN_MOST_MS)
                await queue.postpone(connection, job, until=now + pause)
            for job, _ in gathered.refused:
                await queue.complete(connection, job)


async def enqueue_unlogged(connection: AsyncConnection, *, now: int) -> int:
    """Put on the queue what was signed and is no leaf: by an older version, or before a reindex."""
    jobs = [
        (project, LOG, str(layout.attestation(digest)))
        for project, digest in await log_leaves.unlogged_attestations(connection)
    ]
    names: list[RemovalName | EventName] = [
        RemovalName(project, kind, digest, generation)
        for project, kind, digest, generation in await log_leaves.unlogged_removals(connection)
    ]
    names += [EventName(*name) for name in await log_leaves.unlogged_holds(connection)]
    jobs += [(name.project, LOG, str(key_of(name))) for name in names]
    await queue.enqueue(connection, jobs, available_at=now)
    return len(jobs)
