"""How many bytes a project may keep: decided where bytes are about to be published, never before they are known.

What the project has already is never refused: to send it again costs nothing. The sum is
read from the receipts (the trees, the uploads under way) now and then, and every process
adds what it admitted since. Several processes may therefore exceed a quota together by
what they admit within `FRESH_SECONDS`: a quota is a fence, not a meter. The layout of a
tree counts once a worker has written it, and is never refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.clock import Clock
from artifacts.db import Database
from artifacts.digest import Digest
from artifacts.errors import QuotaExceededError
from artifacts.queries import receipts, trees, usage

FRESH_SECONDS: Final = 30.0
"""How old a sum may be while there is room."""
_CERTAIN_SECONDS: Final = 1.0
"""How old it may be when somebody is refused: what was admitted and then failed must not count for long."""
_PENDING_SECONDS: Final = 600.0
"""How long admitted bytes count that never reach the index."""
_RETRY_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Allowed:
    """Bytes a project may keep: its own number, else that of everybody; None is no limit."""

    everybody: int | None = None
    by_project: Mapping[str, int] = field(default_factory=dict)

    def of(self, project: str) -> int | None:
        """The quota of `project`."""
        return self.by_project.get(project, self.everybody)


@dataclass(frozen=True, slots=True)
class _What:
    """What is kept: a blob, or the manifest of a tree. One digest may be both."""

    digest: Digest
    manifest: bool = field(default=False, kw_only=True)


@dataclass(slots=True)
class _Account:
    """What the index had at a moment, and what was admitted and is not in the index yet."""

    used: int = 0
    read_at: float = -math.inf
    pending: dict[_What, tuple[int, float]] = field(default_factory=dict)

    def total(self) -> int:
        return self.used + sum(size for size, _ in self.pending.values())


class Quotas:
    """The quotas of all projects, as one process sees them."""

    def __init__(self, database: Database, clock: Clock, allowed: Allowed) -> None:
        self._database = database
        self._clock = clock
        self._allowed = allowed
        self._accounts: dict[str, _Account] = {}

    async def admit(self, project: str, digest: Digest, size: int, *, manifest: bool = False) -> None:
        """Count `size` bytes that are about to be kept under `digest`.

        Raises:
            QuotaExceededError: they do not fit, and the project does not have them yet.
        """
        what = _What(digest, manifest=manifest)
        account = await self._decide(project, what, size)
        if account is not None:
            account.pending[what] = (size, self._now())

    def settled(self, project: str, digest: Digest, *, manifest: bool = False) -> None:
        """Note that the index has what was admitted."""
        account = self._accounts.get(project)
        what = _What(digest, manifest=manifest)
        if account is not None and what in account.pending:
            account.used += account.pending.pop(what)[0]

    async def foresee(self, project: str, digest: Digest | None, size: int | None) -> None:
        """Refuse bytes before they are sent, where it is clear what they will be.

        Raises:
            QuotaExceededError: as `admit`.
        """
        if digest is not None and size is not None:
            await self._decide(project, _What(digest), size)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _decide(self, project: str, what: _What, size: int) -> _Account | None:
        """Return the account to count in, or None where nothing is to be counted."""
        allowed = self._allowed.of(project)
        if allowed is None or await self._known(project, what):
            return None
        account = self._accounts.setdefault(project, _Account())
        await self._refresh(project, account, FRESH_SECONDS)
        if account.total() + size > allowed:
            await self._refresh(project, account, _CERTAIN_SECONDS)
        # No await from here to the counting, so that two uploads cannot both take the last room.
        if what not in account.pending and account.total() + size > allowed:
            raise QuotaExceededError(
                "the project's quota does not hold these bytes",
                hint="ask the operator for more, or have what nobody needs collected",
                quota=allowed,
                used=account.total(),
                size=size,
                retry_after=_RETRY_SECONDS,
            )
        return account

    async def _known(self, project: str, what: _What) -> bool:
        async with self._database.reading() as connection:
            return bool(await _arrived(connection, project, [what]))

    async def _refresh(self, project: str, account: _Account, age: float) -> None:
        now = self._now()
        if 0 <= now - account.read_at < age:
            return
        async with self._database.reading() as connection:
            # In this order: what arrives between the two counts twice for a moment, never not at all.
            arrived = await _arrived(connection, project, list(account.pending))
            used = await usage.stored_bytes(connection, project)
        for what, (_, at) in list(account.pending.items()):
            if what in arrived or now - at > _PENDING_SECONDS:
                del account.pending[what]
        account.used, account.read_at = used, now


async def _arrived(connection: AsyncConnection, project: str, asked: Sequence[_What]) -> set[_What]:
    """Those of `asked` that the project keeps already."""
    blobs = await receipts.proven(connection, project, [one.digest for one in asked if not one.manifest])
    manifests = await trees.states(connection, project, [one.digest for one in asked if one.manifest])
    return {_What(digest) for digest in blobs} | {_What(digest, manifest=True) for digest in manifests}
