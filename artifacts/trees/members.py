"""Which trees a file is a member of: found by its digest, told by its path.

The index knows which frames a tree uses, not which files; the manifests say the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.limits import MAX_TREE_REPORTED
from artifacts.queries import locations, trees
from artifacts.queries.trees import BLOB_PART
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.manifest import escaped
from artifacts.trees.reading import entries
from artifacts.trees.states import TreeRow

_MANY_ENTRIES: Final = 1_000_000
"""Entries of all manifests that one question reads, at most."""
_TREES: Final = 20


@dataclass(frozen=True, slots=True)
class Member:
    """A place of a content in a tree."""

    tree: Digest
    path: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Present trees that may hold a content, and its size where it lies in a frame."""

    digest: Digest
    size: int | None
    trees: Sequence[TreeRow]


async def candidates(connection: AsyncConnection, project: str, digest: Digest) -> Candidates:
    """Present trees that use the frame in which the content lies, or the content as a blob."""
    if digest.algorithm != "sha256":
        return Candidates(digest, None, ())
    places = await locations.locate(connection, project, [digest.raw])
    place = places.get(digest.raw)
    part = (digest.raw, BLOB_PART) if place is None else (place.pack, place.frame_offset)
    found = await trees.trees_with(connection, project, part, limit=_TREES)
    return Candidates(digest, None if place is None else place.size, found)


async def members(store: ObjectStore, project: str, among: Candidates) -> list[Member]:
    """Where the content stands in the trees `among`, at most 100 places."""
    found: list[Member] = []
    read = 0
    for row in among.trees:
        read += row.entries
        if len(found) >= MAX_TREE_REPORTED or (found and read > _MANY_ENTRIES):
            break
        async for some in entries(store, project, row.digest):
            found += [
                Member(row.digest, escaped(entry.path).decode())
                for entry in some
                if entry.digest == among.digest.raw and entry.kind == "f"
            ]
    return found[:MAX_TREE_REPORTED]
