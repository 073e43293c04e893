"""Locks by digest, held until the transaction ends: who writes bytes goes beside others, who removes goes alone.

On PostgreSQL they are advisory locks: what is to be kept apart may have no row yet. On SQLite
a transaction that may write is alone anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest

MOST: Final = 200
"""Digests that one transaction may lock: PostgreSQL keeps such locks in a table of fixed size."""
# The numbers come in order and are taken in order, so that nobody waits in a circle.
_ALONE: Final = sa.text("SELECT pg_advisory_xact_lock(n) FROM unnest(CAST(:numbers AS bigint[])) AS n")
_BESIDE: Final = sa.text(
    "SELECT pg_advisory_xact_lock_shared(n) FROM unnest(CAST(:numbers AS bigint[])) AS n"
)


async def alone(connection: AsyncConnection, project: str, digests: Iterable[Digest]) -> None:
    """Let nobody else write, name or remove the bytes of `digests`."""
    await _take(connection, _ALONE, project, digests)


async def beside(connection: AsyncConnection, project: str, digests: Iterable[Digest]) -> None:
    """Let nobody remove the bytes of `digests`; others may write and name them too."""
    await _take(connection, _BESIDE, project, digests)


async def _take(
    connection: AsyncConnection, lock: sa.TextClause, project: str, digests: Iterable[Digest]
) -> None:
    if connection.dialect.name == "postgresql":
        numbers = sorted({number(project, digest) for digest in digests})
        if len(numbers) > MOST:
            raise ValueError("too many locks for one transaction")
        await connection.execute(lock, {"numbers": numbers})


def number(project: str, digest: Digest) -> int:
    """The number under which PostgreSQL keeps the lock of `digest`."""
    named = hashlib.sha256(f"custody-digest/v1\n{project}\n{digest}".encode()).digest()
    return int.from_bytes(named[:8], "big", signed=True)
