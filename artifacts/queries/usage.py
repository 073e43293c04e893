"""How much a project keeps."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.uploads import UploadState
from artifacts.tables import receipt, upload

_UNDER_WAY = (UploadState.OPEN.value, UploadState.CHECKING.value)


async def stored_bytes(connection: AsyncConnection, project: str) -> int:
    """The bytes of all blobs this project has proven, each once, and of its uploads under way.

    Reads every receipt of the project, in the order of their key.
    """
    each = (
        sa.select(sa.func.max(receipt.c.size).label("size"))
        .where(receipt.c.project == project)
        .group_by(receipt.c.digest)
        .subquery()
    )
    stored = await connection.scalar(sa.select(sa.func.sum(each.c.size)))
    coming = await connection.scalar(
        sa.select(sa.func.sum(upload.c.size)).where(
            upload.c.project == project, upload.c.state.in_(_UNDER_WAY)
        )
    )
    return int(stored or 0) + int(coming or 0)
