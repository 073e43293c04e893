"""What must hold after any crash, and after the operation was done again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from artifacts.digest import Digest
from artifacts.labour import LEASE_MS
from tests.attacks.remains import query, remains
from tests.attacks.statements import statements
from tests.faults.operations import (
    CONTENT,
    TO_ATTEST,
    TO_FINISH,
    TO_PUT,
    Reopened,
    perform,
    reopened,
)


async def assert_sound(folder: Path, operation: str, *, acked: bool) -> None:
    """What was acknowledged is there; what was not is absent or whole; doing it again completes it."""
    async with reopened(folder) as service:
        await _assert_rows_have_their_bytes(service)
        if acked:
            await _assert_done(service, operation)
        # A lease that a dead process holds ends by itself.
        service.clock.moment += timedelta(milliseconds=LEASE_MS + 1)
        await perform(service, operation)
        await service.upkeep.tidy()
        await _assert_rows_have_their_bytes(service)
        await _assert_done(service, operation)
        await _assert_swept(service)


async def _assert_rows_have_their_bytes(service: Reopened) -> None:
    """Whatever a row vouches for can be read, and hashes to its name."""
    data = service.folder / "data"
    for (raw,) in query(data, "SELECT DISTINCT digest FROM receipt"):
        hasher = hashlib.sha256()
        async for piece in service.content.open("default", Digest.sha256(raw)):
            hasher.update(piece)
        assert hasher.digest() == raw
    kept = "SELECT digest, record FROM attestation JOIN step ON step.id = attestation.step"
    for raw, bundle in query(data, kept):
        # Until its object is durable the bundle is in the row.
        path = data / "objects" / "attestations" / "sha256" / f"{raw.hex()}.json"
        assert hashlib.sha256(bundle or path.read_bytes()).digest() == raw
    for segment, start, length, raw in query(
        data,
        "SELECT segment, segment_start, segment_length, record_digest FROM step WHERE segment IS NOT NULL",
    ):
        line = (data / "objects" / segment).read_bytes()[start : start + length]
        assert hashlib.sha256(line).digest() == raw
    lost = "SELECT id FROM step WHERE state = 'sealing' AND record IS NULL"
    assert query(data, lost) == []


async def _assert_done(service: Reopened, operation: str) -> None:
    data = service.folder / "data"
    match operation:
        case "put":
            found = query(data, "SELECT size, received FROM step_output WHERE step = ?", TO_PUT)
            assert found == [(len(CONTENT), 1)]
            assert await service.content.size("default", Digest.of(CONTENT)) == len(CONTENT)
        case "finish":
            ((state, outcome),) = query(data, "SELECT state, outcome FROM step WHERE id = ?", TO_FINISH)
            assert (state in {"sealing", "sealed"}, outcome) == (True, "succeeded")
        case "attest":
            assert query(data, "SELECT state FROM step WHERE id = ?", TO_ATTEST) == [("signed",)]
            assert len(query(data, "SELECT digest FROM attestation")) == 1
            assert len(statements(data)) == 1
        case "read_back":
            assert query(data, "SELECT id FROM queue WHERE kind = 'hash'") == []
            assert len(query(data, "SELECT digest FROM receipt WHERE kind = 'worker'")) == 2


async def _assert_swept(service: Reopened) -> None:
    """What is half written lies in staging alone, and goes after a day."""
    assert len(remains(service.folder / "data").keys("staging/")) <= 2
    service.clock.moment = datetime.now(UTC) + timedelta(days=2)
    await service.upkeep.tidy()
    assert remains(service.folder / "data").keys("staging/") == []
