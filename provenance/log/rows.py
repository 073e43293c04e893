"""The leaves in the index, as an audit asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.db import Database
from artifacts.queries import log_leaves


@dataclass(frozen=True, slots=True)
class IndexRows:
    """Implements `auditing.Rows`."""

    database: Database

    async def together(self, begin: int, end: int) -> bytes:
        """See `auditing.Rows`."""
        async with self.database.reading() as connection:
            return await log_leaves.hashes_together(connection, begin, end)

    async def each(self, begin: int, end: int) -> list[tuple[int, bytes]]:
        """See `auditing.Rows`."""
        async with self.database.reading() as connection:
            return await log_leaves.hashes(connection, begin, end)
