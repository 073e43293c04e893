"""Listing a tree, a page at a time, straight from its manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.manifest import Entry, escaped, unescaped
from artifacts.trees.reading import entries

_WRITTEN = re.compile(r"(?:[!-$&-~]|%[0-9A-F]{2})*")
_MAX_WRITTEN = 3 * 4096


@dataclass(frozen=True, slots=True)
class Page:
    """Which entries: at or below `prefix`, after the path `after`, at most `limit`."""

    prefix: bytes
    after: bytes
    limit: int

    def holds(self, path: bytes) -> bool:
        """Whether an entry of this path can be on the page."""
        below = not self.prefix or path == self.prefix or path.startswith(self.prefix + b"/")
        return below and path > self.after


def path_of(text: str) -> bytes:
    """The path that `text` stands for, written as in a manifest.

    Raises:
        InvalidInputError: it is not so written.
    """
    if len(text) > _MAX_WRITTEN or not _WRITTEN.fullmatch(text):
        raise InvalidInputError("not a path as a manifest writes it", given=text[:200])
    path = unescaped(text.encode())
    if escaped(path) != text.encode():
        raise InvalidInputError("not a path as a manifest writes it", given=text[:200])
    return path.rstrip(b"/")


async def entries_of(store: ObjectStore, project: str, tree: Digest, page: Page) -> list[Entry]:
    """The entries of one page; the manifest is always read and checked to its end."""
    found: list[Entry] = []
    async for some in entries(store, project, tree):
        if len(found) < page.limit:
            found += [entry for entry in some if page.holds(entry.path)]
    return found[: page.limit]
