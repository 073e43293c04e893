"""Projects, tokens and the requests they have already made."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.queries.dialect import insert_one
from artifacts.steps import StepState
from artifacts.tables import idempotency, project, step, token

PRINCIPAL: Final = "token:"
"""What stands before the id of a project token in the principal of whatever it began."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A project token, without the secret."""

    id: str
    project: str
    label: str


@dataclass(frozen=True, slots=True)
class IssuedRow:
    """A project token as its operator sees it: who it is for, since when, and until when."""

    id: str
    project: str
    label: str
    created_at: int
    revoked_at: int | None


@dataclass(frozen=True, slots=True)
class StepTokenRow:
    """A step token: the step it belongs to, when it ends, and whether the step still takes anything."""

    step: str
    project: str
    principal: str
    expires_at: int
    open: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A request under an `Idempotency-Key`: reserved, and answered once `status` is set."""

    body_digest: bytes
    reserved_id: str
    status: int | None
    response: bytes | None


def hashed(secret: str) -> bytes:
    """What is kept of a token: its sha256. Tokens are 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(secret.encode()).digest()


async def ensure_project(connection: AsyncConnection, name: str, *, at: int) -> bool:
    """Make the project; return whether it was new."""
    return await insert_one(connection, project, {"name": name, "created_at": at})


async def add_token(connection: AsyncConnection, row: TokenRow, *, digest: bytes, at: int) -> bool:
    """Keep a token by its hash; return whether it was new."""
    values = {"id": row.id, "project": row.project, "hash": digest, "label": row.label, "created_at": at}
    return await insert_one(connection, token, values)


# Built once: making a statement anew costs as much as running it, and this one runs for every request.
_TOKENS = sa.select(token.c.hash, token.c.id, token.c.project, token.c.label).where(
    token.c.hash.in_(sa.bindparam("hashes", expanding=True)), token.c.revoked_at.is_(None)
)


async def find_tokens(connection: AsyncConnection, digests: Sequence[bytes]) -> dict[bytes, TokenRow]:
    """The project tokens with these hashes, by hash, but for those that were revoked."""
    found = await connection.execute(_TOKENS, {"hashes": list(digests)})
    return {hash_: TokenRow(*row) for hash_, *row in found}


async def find_token(connection: AsyncConnection, digest: bytes) -> TokenRow | None:
    """The project token with this hash, unless it was revoked."""
    return (await find_tokens(connection, [digest])).get(digest)


async def is_token(connection: AsyncConnection, digest: bytes) -> bool:
    """Whether there is a project token with this hash, revoked or not."""
    return await connection.scalar(sa.select(sa.literal(1)).where(token.c.hash == digest)) is not None


async def digest_of(connection: AsyncConnection, project_: str, id_: str) -> bytes | None:
    """The hash of the token with this id, revoked or not."""
    mine = sa.and_(token.c.project == project_, token.c.id == id_)
    found: bytes | None = await connection.scalar(sa.select(token.c.hash).where(mine))
    return found


_ISSUED = sa.select(token.c.id, token.c.project, token.c.label, token.c.created_at, token.c.revoked_at)


async def issued(connection: AsyncConnection, project_: str | None) -> list[IssuedRow]:
    """The tokens of one project, or of all; the oldest first, those that were revoked too."""
    asked = _ISSUED if project_ is None else _ISSUED.where(token.c.project == project_)
    return [IssuedRow(*row) for row in await connection.execute(asked.order_by(token.c.id))]


async def find_issued(connection: AsyncConnection, id_: str) -> IssuedRow | None:
    """The token with this id, revoked or not."""
    row = (await connection.execute(_ISSUED.where(token.c.id == id_))).one_or_none()
    return IssuedRow(*row) if row else None


def _begun_by_revoked() -> sa.ColumnElement[bool]:
    """Whether the token that began the step was revoked since."""
    began = sa.func.substr(step.c.principal, len(PRINCIPAL) + 1) == token.c.id
    mine = sa.and_(began, step.c.principal.startswith(PRINCIPAL), token.c.revoked_at.is_not(None))
    return sa.exists().where(mine).correlate(step)


async def find_step_token(connection: AsyncConnection, digest: bytes) -> StepTokenRow | None:
    """The step whose token has this hash; nobody where two claim it, since hashes are chosen freely.

    Nobody either once the project token that began the step was revoked: whoever stole that one
    has chosen this one too.
    """
    found = await connection.execute(
        sa.select(step.c.id, step.c.project, step.c.principal, step.c.expires_at, step.c.state).where(
            step.c.token_hash == digest, sa.not_(_begun_by_revoked())
        )
    )
    rows = found.fetchmany(2)
    if len(rows) != 1:
        return None
    id_, project_, principal, expires_at, state = rows[0]
    return StepTokenRow(id_, project_, principal, expires_at, open=state == StepState.OPEN)


def _same(scope: tuple[str, str, str, str]) -> sa.ColumnElement[bool]:
    names = (idempotency.c.project, idempotency.c.principal, idempotency.c.route, idempotency.c.key)
    return sa.and_(*(column == value for column, value in zip(names, scope, strict=True)))


async def answered(connection: AsyncConnection, scope: tuple[str, str, str, str]) -> Answered | None:
    """What is known under (project, principal, route, key)."""
    columns = idempotency.c
    found = await connection.execute(
        sa.select(columns.body_digest, columns.reserved_id, columns.status, columns.response).where(
            _same(scope)
        )
    )
    row = found.one_or_none()
    return Answered(*row) if row else None


async def reserve(
    connection: AsyncConnection, scope: tuple[str, str, str, str], *, body_digest: bytes, id_: str, at: int
) -> bool:
    """Claim a key for one body and one id; False where somebody has."""
    names = ("project", "principal", "route", "key")
    values = dict(zip(names, scope, strict=True))
    more = {"body_digest": body_digest, "reserved_id": id_, "created_at": at}
    return await insert_one(connection, idempotency, {**values, **more})


async def answer(
    connection: AsyncConnection, scope: tuple[str, str, str, str], *, status: int, response: bytes
) -> None:
    """Keep the answer for the next time."""
    await connection.execute(
        sa.update(idempotency).where(_same(scope)).values(status=status, response=response)
    )


async def forget_answers(connection: AsyncConnection, *, before: int) -> int:
    """Drop keys older than `before`; return how many."""
    gone = await connection.execute(sa.delete(idempotency).where(idempotency.c.created_at < before))
    return gone.rowcount
