"""How much of each pack is still used: a pack frays as trees that used it are removed.

The index knows which frames a tree uses, and not which files: the manifests say that. So all
manifests of a project are read, and what they name is looked up.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError
from artifacts.queries import locations, repacking
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.packs import Location
from artifacts.trees.reading import entries

_START_BITS = 24
"""More than a place in a frame takes."""


@dataclass(frozen=True, slots=True)
class FrayedPack:
    """A pack of which present trees use less than half."""

    digest: Digest
    size: int
    used: int
    """About as many of its bytes: contents count as their frame is compressed."""


class Fraying:
    """Looks at the packs of projects; changes nothing."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    async def packs(self, project: str, *, quiet_before: int) -> list[FrayedPack]:
        """The packs worth packing anew: not those nothing uses, which are garbage as they are.

        Nor those that came or were asked for since `quiet_before`: a tree may be on its way that
        uses more of them. Nor those that somebody names for themselves, which stay anyway.
        """
        async with self._database.reading() as connection:
            known = await repacking.known_packs(connection, project)
            trees = await repacking.present_trees(connection, project)
            named = await repacking.kept_for_themselves(connection, project, [one.digest for one in known])
        quiet = {one.digest for one in known if one.quiet_since < quiet_before} - named
        used = await self._usage(project, trees, quiet) if quiet else {}
        found = [
            FrayedPack(Digest.sha256(one.digest), one.size, round(used[one.digest]))
            for one in known
            if one.digest in used
        ]
        return [one for one in found if 2 * one.used < one.size]

    async def _usage(
        self, project: str, trees: Sequence[Digest], among: Collection[bytes]
    ) -> dict[bytes, float]:
        """How many bytes of each pack `among` these are used."""
        seen: dict[bytes, set[int]] = {}
        used: dict[bytes, float] = {}
        for tree in trees:
            # A manifest that is damaged is met again where it matters: in `used_of`.
            with contextlib.suppress(CorruptedError, NotFoundError):
                async for place in self._places(project, tree):
                    inside = seen.setdefault(place.pack, set())
                    number = place.frame_offset << _START_BITS | place.start
                    if place.pack in among and number not in inside:
                        inside.add(number)
                        share = place.size * place.frame_length / place.frame_size
                        used[place.pack] = used.get(place.pack, 0) + share
        return used

    async def _places(self, project: str, tree: Digest) -> AsyncIterator[Location]:
        """Where the small contents of a tree lie."""
        async for some in entries(self._store, project, tree):
            digests = list({entry.digest for entry in some if entry.is_small})
            async with self._database.reading() as connection:
                found = await locations.locate(connection, project, digests)
            for place in found.values():
                yield place

    async def used_of(self, project: str, packs: Sequence[bytes]) -> tuple[list[Digest], set[bytes]]:
        """The present trees that are made of `packs`, and what of these they use.

        Raises:
            CorruptedError: the manifest of one cannot be read, so that nobody knows what it uses.
            NotFoundError: likewise.
        """
        async with self._database.reading() as connection:
            trees = await repacking.trees_over(connection, project, packs)
        among = set(packs)
        used = {
            place.digest
            for tree in trees
            async for place in self._places(project, tree)
            if place.pack in among
        }
        return trees, used
