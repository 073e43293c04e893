"""Resumable uploads: announced, completed, settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.tables import upload


class UploadState(StrEnum):
    """How far an upload has come; the last two are for ever."""

    OPEN = "open"
    CHECKING = "checking"
    PRESENT = "present"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload as the index knows it."""

    project: str
    id: str
    principal: str
    digest: Digest
    size: int
    state: UploadState
    reason: str | None
    began_at: int

    @property
    def by_step(self) -> bool:
        """Whether the token of a step announced it: the principal is then written with the step."""
        return "/" in self.principal


_ALL = (
    upload.c.project,
    upload.c.id,
    upload.c.principal,
    upload.c.digest,
    upload.c.size,
    upload.c.state,
    upload.c.reason,
    upload.c.began_at,
)


async def add(connection: AsyncConnection, row: UploadRow) -> None:
    """Remember an upload that begins."""
    await connection.execute(
        sa.insert(upload).values(
            project=row.project,
            id=row.id,
            principal=row.principal,
            digest=row.digest.raw,
            size=row.size,
            state=row.state.value,
            began_at=row.began_at,
        )
    )


async def find(connection: AsyncConnection, project: str, id_: str) -> UploadRow | None:
    """The upload of that id, or None."""
    found = await connection.execute(sa.select(*_ALL).where(upload.c.project == project, upload.c.id == id_))
    row = found.one_or_none()
    return None if row is None else _row(row)


def _row(row: Sequence[Any]) -> UploadRow:  # Any: column values
    project, id_, principal, digest, size, state, reason, began_at = row
    return UploadRow(
        project, id_, principal, Digest.sha256(digest), size, UploadState(state), reason, began_at
    )


async def move(
    connection: AsyncConnection, row: UploadRow, *, to: UploadState, reason: str | None = None
) -> bool:
    """Move an upload on from the state it was read in; False where another was faster."""
    moved = await connection.execute(
        sa.update(upload)
        .where(upload.c.project == row.project, upload.c.id == row.id, upload.c.state == row.state.value)
        .values(state=to.value, reason=reason)
    )
    return moved.rowcount == 1


async def under_way(connection: AsyncConnection, *, since: int) -> set[str]:
    """The ids of uploads whose parts are still needed: being checked, or open and not yet stale."""
    found = await connection.scalars(
        sa.select(upload.c.id).where(
            sa.or_(
                upload.c.state == UploadState.CHECKING.value,
                sa.and_(upload.c.state == UploadState.OPEN.value, upload.c.began_at >= since),
            )
        )
    )
    return set(found)


async def forget_open(connection: AsyncConnection, *, before: int) -> int:
    """Forget uploads that were begun before then and never completed."""
    gone = await connection.execute(
        sa.delete(upload).where(upload.c.state == UploadState.OPEN.value, upload.c.began_at < before)
    )
    return gone.rowcount


async def sent_by(
    connection: AsyncConnection, project: str, sender: str, digests: Sequence[Digest]
) -> dict[Digest, int]:
    """Those of `digests` that `sender` has sent in parts and that were found right, with their sizes."""
    found = await connection.execute(
        sa.select(upload.c.digest, upload.c.size).where(
            upload.c.project == project,
            upload.c.principal == sender,
            upload.c.digest.in_([digest.raw for digest in digests]),
            upload.c.state == UploadState.PRESENT.value,
        )
    )
    return {Digest.sha256(raw): size for raw, size in found}


async def of_digests(connection: AsyncConnection, project: str, digests: Sequence[Digest]) -> list[UploadRow]:
    """Uploads of the project that were to bring any of `digests`."""
    found = await connection.execute(
        sa.select(*_ALL).where(
            upload.c.project == project, upload.c.digest.in_([digest.raw for digest in digests])
        )
    )
    return [_row(row) for row in found]
