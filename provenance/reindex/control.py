"""Filing removals and holds, before anything that they forbid.

An object of `control/` counts if

1. it is a bundle, written to the byte as the signer writes bundles, of an in-toto statement;
2. a trusted key signed it;
3. its statement is one that the signer makes of a decision, again to the byte;
4. that decision is the very one its name names: a word about one digest, project, generation or
   event proves nothing about another.

Of the removals of a digest the last one counts, of the words about holds too: what is purged stays
purged, what is held stays held. What does not count is doubted, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts import named_keys
from artifacts.clock import to_milliseconds
from artifacts.content import HASH
from artifacts.control import BLOB, TREE, HoldEvent, Tombstone
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError
from artifacts.layout import Key
from artifacts.queries import decisions, holds, reindexing, removals
from artifacts.queries.decisions import Kept
from artifacts.queries.removals import Thing
from artifacts.storage.protocol import Listed, ObjectStore
from artifacts.trees.taking import CHECK
from provenance import control, dsse
from provenance.bundle import Bundle
from provenance.keys import PublicKey
from provenance.reindex.reading import Lying, abreast, chunked, lying
from provenance.reindex.report import Doubted, Report, Told
from provenance.writer import PAYLOAD_TYPE

KEYS: Final = "control/keys/"
PURGED: Final = "it was purged, and lies there again"


@dataclass(frozen=True, slots=True)
class Barred:
    """What is not taken in again, whoever vouches for it."""

    names: frozenset[tuple[str, str, bytes]] = frozenset()

    def blob(self, project: str, digest: bytes) -> bool:
        """Whether these bytes are barred in `project`, be it as a blob or in a pack."""
        return (project, BLOB, digest) in self.names

    def tree(self, project: str, digest: bytes) -> bool:
        """Whether this tree is barred in `project`."""
        return (project, TREE, digest) in self.names


NOTHING_BARRED: Final = Barred()


async def file_control(
    database: Database, store: ObjectStore, keys: Iterable[PublicKey], report: Report, told: Told
) -> Barred:
    """File every removal and word about holds that counts under `keys`; return what is barred from now on."""
    trusted = frozenset(keys)

    async def judged(chunk: Sequence[Listed]) -> list[Kept | Doubted]:
        read = await lying(store, chunk, report)
        return await asyncio.to_thread(lambda: [_judged(one, trusted) for one in read])

    async for results in abreast(chunked(_listed(store, report), weigh=lambda listed: listed.size), judged):
        kept = [one for one in results if isinstance(one, Kept)]
        for one in results:
            if isinstance(one, Doubted):
                report.doubt(one.key, one.reason)
        async with database.writing() as connection:
            await _add_projects(connection, kept)
            await _forget_removed(connection, kept)
            await decisions.keep(connection, kept)
        about_holds = sum(isinstance(one.decision, HoldEvent) for one in kept)
        report.counts["words about holds"] += about_holds
        report.counts["tombstones"] += len(kept) - about_holds
        told("tombstones", report.counts["tombstones"])
    async with database.writing() as connection:
        report.counts["held"] = await holds.follow_all(connection)
        return Barred(await decisions.barred(connection))


async def _add_projects(connection: AsyncConnection, kept: Sequence[Kept]) -> None:
    """Make the projects of which nothing else may be left."""
    for one in kept:
        decided = one.decision
        at = decided.at if isinstance(decided, HoldEvent) else decided.decided_at
        await reindexing.add_projects(connection, {decided.name.project}, at=to_milliseconds(at))


async def _forget_removed(connection: AsyncConnection, kept: Sequence[Kept]) -> None:
    """Take what an older index has of bytes that were removed since; if they came again, their turn comes."""
    names = {one.decision.name for one in kept if isinstance(one.decision, Tombstone)}
    known = await decisions.known(connection, names)
    for name in sorted(name for name in names if name not in known):
        things = [Thing(name.project, name.kind, name.digest)]
        if name.kind == BLOB:
            # Trees that were made of a pack before it was packed anew: their layouts are read again.
            made = await decisions.trees_made_of(connection, name.project, name.digest)
            things += [Thing(name.project, TREE, tree) for tree in made]
        for thing in things:
            await removals.forget(connection, thing, job=HASH if thing.kind == BLOB else CHECK)


async def _listed(store: ObjectStore, report: Report) -> AsyncIterator[Listed]:
    async for listed in store.list("control/"):
        if str(listed.key).startswith(KEYS):
            continue  # `trust` reads those
        if named_keys.decision(listed.key) is None:
            report.doubt(listed.key, "nothing of ours has such a name")
        else:
            yield listed


def _judged(one: Lying, keys: frozenset[PublicKey]) -> Kept | Doubted:
    try:
        return kept(one.key, one.content, keys)
    except CustodyError as error:
        return Doubted(str(one.key), error.message)


def kept(key: Key, content: bytes, keys: frozenset[PublicKey]) -> Kept:
    """The decision in the object `content` that lies at `key`.

    Raises:
        CustodyError: it does not count, for whatever reason.
    """
    envelope = Bundle.parse(content).envelope  # 1
    if envelope.payload_type != PAYLOAD_TYPE or Bundle.of(envelope).to_bytes() != content:
        raise EvidenceError("the bundle is not written as the signer writes it")
    dsse.verify(envelope, keys)  # 2
    decision = control.read(envelope.payload)  # 3
    if named_keys.decision(key) != decision.name:  # 4
        raise EvidenceError("what is signed here is about another removal or hold than its name")
    return Kept(decision, Digest.of(content))
