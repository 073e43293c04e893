"""How much a project keeps."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.uploads import UploadState
from artifacts.tables import receipt, tree, upload

_UNDER_WAY = (UploadState.OPEN.value, UploadState.CHECKING.value)


async def stored_bytes(connection: AsyncConnection, project: str) -> int:
    """The bytes of all that this project keeps, each once, and of its uploads under way.

    These are the blobs it has proven, packs among them, and the manifests and layouts of its
    trees. Reads every receipt of the project, in the order of their key.
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
    trees = await connection.execute(
        sa.select(sa.func.sum(tree.c.stored_size), sa.func.sum(tree.c.layout_stored_size)).where(
            tree.c.project == project
        )
    )
    return sum(int(one or 0) for one in (stored, coming, *trees.one()))
