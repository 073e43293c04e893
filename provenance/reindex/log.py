"""Filling the log in the index again: from its tiles, if they lead to a checkpoint of the log's key.

1. The newest published checkpoint is signed by the key of the log.
2. Its tiles of entries lead to the root that it names; where they do not, nothing is filed, and
   the signer will add nothing to the log.
3. Each leaf is that of a bundle which was filed, or of nobody's: its bundle is lost, or was left out.

What was numbered and never published is numbered anew by the signer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from artifacts import layout, named_keys
from artifacts.clock import Clock, to_milliseconds
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError
from artifacts.layout import Key
from artifacts.queries import log_leaves, steps
from artifacts.queries.log_leaves import Head, Numbered
from artifacts.steps import StepState
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import ObjectStore
from provenance import dsse
from provenance.bundle import Bundle
from provenance.dsse import MAX_ENVELOPE_BYTES
from provenance.keys import PublicKey
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash, leaf_hashes
from provenance.log.notes import NoteKey
from provenance.log.objects import LogObjects
from provenance.log.tiles import WIDTH, decode_entries, tile_at
from provenance.reindex.report import Report, Told

_AT_ONCE: Final = 500
_NOBODYS: Final = ""


@dataclass(frozen=True, slots=True)
class LogFiler:
    """Fills the leaves of one log."""

    database: Database
    store: ObjectStore
    clock: Clock
    keys: frozenset[PublicKey]
    report: Report
    told: Told

    async def file(self, key: NoteKey | None) -> None:
        """Forget what the index has of the log, and file what is published."""
        async with self.database.writing() as connection:
            await log_leaves.forget(connection)
        objects = LogObjects(self.store)
        try:
            note = await objects.note()
            if note is None:
                if await objects.reach(0):
                    raise EvidenceError("there are tiles of a log and no checkpoint")
                return
            if key is None:
                raise EvidenceError("no key of the log was given, so the log is not filed")
            await self._file(objects, Checkpoint.verified(note, key))  # 1
        except CustodyError as error:
            self.report.doubt(layout.log_checkpoint(), error.message)
            async with self.database.writing() as connection:
                await log_leaves.forget(connection)

    async def _file(self, objects: LogObjects, checkpoint: Checkpoint) -> None:
        owners, frontier = await self._owners(), Frontier()
        while frontier.size < checkpoint.size:
            tile = tile_at(None, frontier.size // WIDTH, size=checkpoint.size)
            entries = decode_entries(await objects.tile(tile), tile.width)
            leaves = [
                _numbered(number, hashed, owners)
                for number, hashed in enumerate(leaf_hashes(entries), frontier.size)
            ]
            frontier.grow(entries)
            await self._write(leaves)
        if frontier.root != checkpoint.root:  # 2
            raise EvidenceError("the tiles of the log do not lead to the root of its checkpoint")
        async with self.database.writing() as connection:
            await log_leaves.found(connection, checkpoint.origin, Head(checkpoint.size, checkpoint.root))

    async def _write(self, leaves: list[Numbered]) -> None:
        now = to_milliseconds(self.clock.now())
        async with self.database.writing() as connection:
            await log_leaves.add(connection, leaves)
            for project, ids in (await log_leaves.steps_of(connection, leaves)).items():
                await steps.enter(connection, project, ids, StepState.LOGGED.value, at=now)
        self.report.counts["leaves"] += len(leaves)
        self.report.counts["leaves of no known bundle"] += sum(one.project == _NOBODYS for one in leaves)
        self.told("leaves", self.report.counts["leaves"])

    async def _owners(self) -> dict[bytes, tuple[str, Digest]]:
        """By the hash of its leaf, each bundle that was filed, and its project."""
        owners = {}
        async for project, key in self._filed():
            try:
                content = await read_at_most(self.store, key, MAX_ENVELOPE_BYTES)
                bundle = Bundle.parse(content)
                [signer] = dsse.verify(bundle.envelope, self.keys)
            except CustodyError:
                continue  # who filed it has told of it
            hashed = leaf_hash(Leaf.of(bundle, signer).to_bytes())
            owners[hashed] = (project, Digest.of(content))
        return owners

    async def _filed(self) -> AsyncIterator[tuple[str, Key]]:
        last = b""
        while True:
            async with self.database.reading() as connection:
                found = await log_leaves.attestations_after(connection, last, limit=_AT_ONCE)
            for project, digest in found:
                yield project, layout.attestation(digest)
            if len(found) < _AT_ONCE:
                break
            last = found[-1][1].raw
        async for listed in self.store.list("control/"):
            name = named_keys.decision(listed.key)
            if name is not None:
                yield name.project, listed.key


def _numbered(number: int, hashed: bytes, owners: dict[bytes, tuple[str, Digest]]) -> Numbered:
    # Nobody's leaf has to be told from others: its own hash is the digest of no bundle.
    project, bundle = owners.get(hashed, (_NOBODYS, Digest.sha256(hashed)))  # 3
    return Numbered(number, project, bundle, hashed, None)
