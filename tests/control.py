"""Decisions about stored bytes, made as worker and operator make them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from artifacts import layout
from artifacts.clock import to_milliseconds
from artifacts.control import BLOB, CONTROL, HoldEvent, RemovalName, Tombstone
from artifacts.digest import Digest
from artifacts.holds import Holds
from artifacts.queries import queue, removals
from artifacts.queries.removals import Thing
from artifacts.tables import tombstone
from provenance.bundle import Bundle
from provenance.control import statement
from provenance.signing import Signer, sealed
from provenance.writer import PAYLOAD_TYPE, encode
from tests.attacks.planting import AT
from tests.reindex.corpus import objects
from tests.service import PUBLIC_URL, Service

DEFAULT = "default"


def a_tombstone(content: bytes, generation: int = 1, *, kind: str = BLOB, **changes: Any) -> Tombstone:
    """A removal that was decided in the year of the tests."""
    name = RemovalName(changes.pop("project", DEFAULT), kind, Digest.of(content), generation)
    said = {"reason": "purged", "detail": "a password", "barred": True, "size": len(content)}
    moments = {"decided_at": AT, "gone_at": AT + timedelta(seconds=2)}
    return Tombstone(name=name, **{**said, **moments, **changes})


def row_of(removed: Tombstone, **changes: object) -> dict[str, Any]:
    """The row of a removal that is over."""
    row = {
        "project": removed.name.project,
        "kind": removed.name.kind,
        "digest": removed.name.digest.raw,
        "generation": removed.name.generation,
        "state": "gone",
        "reason": removed.reason,
        "detail": removed.detail,
        "barred": removed.barred,
        "size": removed.size,
        "decided_at": to_milliseconds(removed.decided_at),
        "gone_at": to_milliseconds(removed.gone_at),
    }
    return {**row, **changes}


async def decided(service: Service, removed: Tombstone, **changes: object) -> None:
    """Write the row of a removal in place of the last one, and ask for it to be signed."""
    name = removed.name
    async with service.database.writing() as connection:
        mine = sa.and_(
            tombstone.c.project == name.project,
            tombstone.c.kind == name.kind,
            tombstone.c.digest == name.digest.raw,
        )
        await connection.execute(sa.delete(tombstone).where(mine))
        await connection.execute(sa.insert(tombstone).values(row_of(removed, **changes)))
        await queue.enqueue(connection, [(name.project, CONTROL, name.topic)], available_at=0)


async def removed_for_good(
    service: Service, content: bytes, generation: int = 1, **changes: Any
) -> Tombstone:
    """Remove a stored blob as a purge does, and let the signer say so."""
    removed = a_tombstone(content, generation, **changes)
    name = removed.name
    for key in (*(layout.receipt(name.project, name.digest, kind) for kind in ("api", "worker")),):
        await service.store.delete(key)
    await service.store.delete(layout.blob(name.project, name.digest))
    async with service.database.writing() as connection:
        await removals.forget(connection, Thing(name.project, name.kind, name.digest), job="hash")
    await decided(service, removed)
    assert await service.sign_decisions() == 1
    return removed


def holding(service: Service) -> Holds:
    """What the operator places and lifts holds with."""
    return Holds(service.database, service.clock)


def signed(decision: Tombstone | HoldEvent, signer: Signer) -> bytes:
    """The bundle that `signer` makes of a decision."""
    payload = encode(statement(decision, public_url=PUBLIC_URL))
    return Bundle.of(sealed(PAYLOAD_TYPE, payload, signer)).to_bytes()


def kept(service: Service) -> list[Path]:
    """The objects of removals and holds."""
    root = objects(service) / "control"
    return sorted(path for folder in ("tombstones", "holds") for path in (root / folder).rglob("*.json"))
