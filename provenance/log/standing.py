"""Where a log stands: what is published, what was decided, and whether the index may go on from there.

The published checkpoint lies in the bucket, the decided one is a row. Tiles come before either,
and the row before the checkpoint, so while nothing was lost or put back,

1. the row is of no smaller log than the checkpoint, and the leaves in the index are no fewer;
2. the tiles lead to the root that was decided, and it begins with all that is published;
3. the last leaves in the index are those of the last tile, and no tile tells of more leaves.

An index that was restored breaks one of these, and a bucket that was. What a crash left, a
decided checkpoint that is not published, is published here. So is one that was taken away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from artifacts.clock import Clock
from artifacts.db import Database
from artifacts.errors import CorruptedError, EvidenceError
from artifacts.queries import log_leaves
from artifacts.queries.log_leaves import Head
from provenance.log.checkpoint import Checkpoint
from provenance.log.frontier import Frontier
from provenance.log.notes import NoteSigner
from provenance.log.objects import LogObjects
from provenance.log.proofs import check_consistency, consistency_parts

AGED: Final = "the index is older than the published log, so nothing is added to it"
HINT: Final = "stop the service and run custody-server reindex"


@dataclass(frozen=True, slots=True)
class Standing:
    """Compares the index with the bucket before anything is signed."""

    database: Database
    objects: LogObjects
    clock: Clock
    signer: NoteSigner

    async def confirmed(self, held: Frontier) -> Frontier:
        """The right edge of the log, from which it may be added to.

        Args:
            held: What this process published last; while it stands, no tile is read again.

        Raises:
            EvidenceError: the log may not be added to; the message says why.
        """
        published = await self._published()
        async with self.database.reading() as connection:
            head = await log_leaves.head(connection, self.signer.key.name)
            size = await log_leaves.size(connection)
        if max(head.size, 0 if published is None else published.size) > min(head.size, size):  # 1
            raise EvidenceError(AGED, hint=HINT, decided=head.size, leaves=size)
        if head.root is None:
            await self._check_reach(0, size)
            return Frontier()
        decided = Checkpoint(self.signer.key.name, head.size, head.root)
        if (held.size, held.root) != (head.size, head.root):
            held = await self.objects.frontier(decided)  # 2
            await self._check_rows(decided, size)  # 3
        if published != decided:
            await self._renew(published, decided, head, size)
        return held

    async def _published(self) -> Checkpoint | None:
        try:
            return await self.objects.checkpoint(self.signer.key)
        except (EvidenceError, CorruptedError) as error:
            raise EvidenceError(
                "the published checkpoint is none that the key of this log signed",
                hint="bring back the key of the log, and its name (CUSTODY_LOG_ORIGIN); "
                "if only log/checkpoint is damaged, remove it: it is written again",
                reason=error.message,
            ) from error

    async def _check_rows(self, decided: Checkpoint, size: int) -> None:
        hashes = await self.objects.last_tile(decided.size)
        async with self.database.reading() as connection:
            known = await log_leaves.hashes(connection, decided.size - len(hashes), decided.size)
        if [hashed for _, hashed in known] != hashes:
            raise EvidenceError("the index has other leaves than the tiles of the log", hint=HINT)
        await self._check_reach(decided.size, size)

    async def _check_reach(self, published: int, size: int) -> None:
        if await self.objects.reach(published) > size:
            raise EvidenceError(AGED, hint=HINT, leaves=size)

    async def _renew(self, published: Checkpoint | None, decided: Checkpoint, head: Head, size: int) -> None:
        """Publish what was decided, in the place of what it begins with."""
        await self._check_reach(head.size, size)
        if published is not None:
            parts = consistency_parts(published.size, decided.size)
            proof = await self.objects.hashes(parts, size=decided.size)
            check_consistency(published.size, decided.size, published.root, decided.root, proof)
        await self.objects.publish(decided.signed(self.signer), self.clock)
