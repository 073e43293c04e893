"""Noticing an index that is older than its bucket, before anything is signed.

A copy of an index that was restored knows neither the newest steps nor what was signed since.
Signing with it could state a step a second time; it would take in again what was purged, and
remove what is held. While nothing was lost, a row always comes before the object that follows
from it: a segment lies in the bucket only if its first step has a row, a bundle only if its
statement has one. So the check is for objects without their row:

1. segments from the month of the newest finished step on, by the id in their names;
2. every bundle, by its digest; one of another name by what it states, since anybody can copy a
   bundle, or write it otherwise;
3. every removal and every word about a hold, by its name and by what is signed in it.

What somebody planted holds nothing up: a segment counts under our seal alone, a bundle under its
own digest, written as we write it, and signed by our key; so does a removal or a word about a
hold, under its own name. Nor does what a reindex left out: that
it can file no more is no sign of an older index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from artifacts import named_keys
from artifacts.clock import from_milliseconds, to_milliseconds
from artifacts.db import Database
from artifacts.errors import CustodyError, EvidenceError, UnavailableError
from artifacts.layout import Key
from artifacts.named_keys import Kind, Named
from artifacts.queries import decisions, reindexed_facts, reindexing, unfiled
from artifacts.seal import Seal
from artifacts.storage.bounded import read_at_most
from artifacts.storage.protocol import Listed, ObjectStore
from provenance.dsse import MAX_ENVELOPE_BYTES
from provenance.keys import PublicKey
from provenance.reindex import control
from provenance.reindex.reading import Lying, chunked
from provenance.reindex.statements import stated

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RecordsAhead:
    """Looks for sealed records that the index should know of and does not; needs no key."""

    database: Database
    store: ObjectStore
    seal: Seal | None

    async def check(self, *, now: datetime) -> None:
        """Return if the index knows of every record in the bucket.

        Raises:
            EvidenceError: it does not, so it may not be said by it what nobody needs.
        """
        found = await self.unknown(now)
        if found is not None:
            raise EvidenceError(
                "the index is older than the bucket, so nothing is removed by it",
                hint="stop the service and run custody-server reindex",
                unknown=str(found),
            )

    async def unknown(self, now: datetime) -> Key | None:
        """Step 1: a segment whose records the index does not know."""
        async with self.database.reading() as connection:
            newest = await reindexed_facts.newest_finish(connection)
            projects = await reindexed_facts.projects(connection)
        for prefix in _prefixes(projects, newest, to_milliseconds(now)):
            async for chunk in chunked(self._segments(prefix), size=_AT_ONCE):
                if (unknown := await self._unknown_segment(chunk)) is not None:
                    return unknown
        return None

    async def _segments(self, prefix: str) -> AsyncIterator[Named]:
        async for listed in self.store.list(prefix):
            named = named_keys.named(listed.key)
            if named is not None and named.kind is Kind.SEGMENT and self._is_ours(named):
                yield named

    def _is_ours(self, named: Named) -> bool:
        return self.seal is None or self.seal.is_on(named.key)

    async def _unknown_segment(self, chunk: Sequence[Named]) -> Key | None:
        async with self.database.reading() as connection:
            for project in sorted({named.project for named in chunk}):
                mine = {named.detail: named.key for named in chunk if named.project == project}
                known = await reindexed_facts.known_steps(connection, project, mine)
                left = {str(mine[step]): mine[step] for step in sorted(mine.keys() - known)}
                for segment in sorted(left.keys() - await unfiled.known_segments(connection, list(left))):
                    return left[segment]
        return None


@dataclass(frozen=True, slots=True)
class Ahead:
    """Looks for objects that the index should know of and does not."""

    database: Database
    store: ObjectStore
    key: PublicKey
    seal: Seal | None

    async def check(self, *, now: datetime) -> None:
        """Return if the index knows of everything in the bucket.

        Raises:
            EvidenceError: it does not, so it may not be signed with.
        """
        found = (
            await RecordsAhead(self.database, self.store, self.seal).unknown(now)
            or await self._bundle()
            or await self._decision()
        )
        if found is not None:
            raise EvidenceError(
                "the index is older than the bucket, so nothing is signed with it",
                hint="stop the service and run custody-server reindex",
                unknown=str(found),
            )

    async def _bundle(self) -> Key | None:
        """Step 2."""
        async for chunk in chunked(self.store.list("attestations/"), size=_AT_ONCE):
            names = {found.raw: one for one in chunk if (found := named_keys.bundle(one.key)) is not None}
            async with self.database.reading() as connection:
                known = await reindexing.known_statements(connection, sorted(names))
            for digest in sorted(names.keys() - known):
                if await self._is_news(names[digest]):
                    return names[digest].key
        return None

    async def _is_news(self, listed: Listed) -> bool:
        """Whether a bundle states what no statement of the index does."""
        if listed.size > MAX_ENVELOPE_BYTES:
            return False
        try:
            content = await self.store.read(listed.key)
            seen = stated(Lying(listed.key, to_milliseconds(listed.changed_at), content), self._keyids)
        except UnavailableError:
            raise  # that nothing was read says nothing about the bundle
        except CustodyError:
            return False
        async with self.database.reading() as connection:
            return not await unfiled.is_known(connection, seen.about)

    async def _decision(self) -> Key | None:
        """Step 3."""
        async for chunk in chunked(self.store.list("control/"), size=_AT_ONCE):
            keys = [listed.key for listed in chunk]
            names = {found: key for key in keys if (found := named_keys.decision(key)) is not None}
            async with self.database.reading() as connection:
                known = await decisions.known(connection, names)
            for key in sorted(key for name, key in names.items() if name not in known):
                if await self._is_decided(key):
                    return key
        return None

    async def _is_decided(self, key: Key) -> bool:
        try:
            control.kept(key, await read_at_most(self.store, key, MAX_ENVELOPE_BYTES), frozenset({self.key}))
        except UnavailableError:
            raise  # see above
        except CustodyError:
            return False
        return True

    @property
    def _keyids(self) -> dict[PublicKey, str]:
        return {self.key: self.key.keyid}


def _prefixes(projects: Sequence[str], newest: int | None, now: int) -> Iterator[str]:
    """Where segments lie that are newer than the `newest` finished step; without one, all of them."""
    if newest is None:
        yield "projects/"
        return
    first, last = from_milliseconds(newest), from_milliseconds(max(newest, now))
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        for project in projects:
            yield f"projects/{project}/records/{number // 12:04d}/{number % 12 + 1:02d}/"
