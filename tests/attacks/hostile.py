"""A hostile api: it writes whatever it likes into rows and objects, and waits for the signer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from artifacts import layout
from artifacts.digest import Digest
from artifacts.layout import Key
from tests.attacks.actors import OpenStep
from tests.attacks.remains import change, query, remains
from tests.attacks.statements import Json, labels_of, statements
from tests.service import PUBLIC_URL, Service

AT = "2026-11-22T10:00:00.000Z"
WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
KINDS = {"https://slsa.dev/provenance/v1", f"{PUBLIC_URL}/predicates/record/v1"}


def members(begun: OpenStep, **changed: object) -> dict[str, Any]:  # Any: JSON
    """The record that an honest api would seal for `begun`, with `changed` members."""
    return {
        "record": "custody/v1",
        "project": "default",
        "run": begun.id,
        "step": begun.id,
        "name": "build",
        "principal": "token:01K00000000000000000000000",
        "via": "step",
        "outcome": "succeeded",
        "began_at": AT,
        "finished_at": AT,
        "command": [],
        "parameters": {},
        "environment": {},
        "reported": {},
        "inputs": [],
        "outputs": [],
        "byproducts": [],
        **changed,
    }


def written(begun: OpenStep, **changed: object) -> bytes:
    """The line of that record."""
    return orjson.dumps(members(begun, **changed), option=orjson.OPT_SORT_KEYS)


async def plant(service: Service, step: OpenStep, line: bytes, *, key: Key | None = None) -> None:
    """Lay `line` down as the sealed record of `step`, and ask for it to be signed."""
    where = key or layout.segment("default", step.id, Digest.of(line), WHEN)
    await service.store.put(where, line + b"\n")
    claim(service, step, segment=str(where), start=0, length=len(line), digest=Digest.of(line).raw)


def claim(service: Service, step: OpenStep, *, segment: Any, start: Any, length: Any, digest: Any) -> None:
    """Say in the row that the record lies there, and ask for it to be signed."""
    folder = service.folder / "data"
    change(
        folder,
        "UPDATE step SET state = 'sealed', segment = ?, segment_start = ?, segment_length = ?,"
        " record_digest = ? WHERE id = ?",
        segment,
        start,
        length,
        digest,
        step.id,
    )
    change(
        folder,
        "INSERT OR IGNORE INTO step_ledger (project, step, state, at) VALUES ('default', ?, 'sealed', 0)",
        step.id,
    )
    request(service, step.id)


def request(service: Service, topic: str, *, project: str = "default", kind: str = "sign") -> None:
    """Put `topic` on the queue."""
    change(
        service.folder / "data",
        "INSERT OR IGNORE INTO queue (project, kind, topic, available_at) VALUES (?, ?, ?, 0)",
        project,
        kind,
        topic,
    )


async def assert_refused(service: Service, step: OpenStep) -> str:
    """The signer refuses `step`, says why, signs nothing, and stays with it; return the reason."""
    for _ in range(2):
        await service.sign()
        left = remains(service.folder / "data")
        assert left.rows["attestation"] == left.rows["attestation_subject"] == frozenset()
        assert left.keys("attestations/") == []
        assert query(service.folder / "data", "SELECT state FROM step WHERE id = ?", step.id) == [
            ("refused",)
        ]
        assert left.rows["queue"] == frozenset()
        request(service, step.id)
    told = query(
        service.folder / "data",
        "SELECT reason FROM step_ledger WHERE step = ? AND state = 'refused'",
        step.id,
    )
    assert told
    assert told[0][0]
    return str(told[0][0])


async def the_statement(service: Service) -> Json:
    """Let the signer work; there is exactly one statement, one row and one object, of a known kind."""
    await service.sign()
    left = remains(service.folder / "data")
    assert len(left.rows["attestation"]) == 1, left.rows["step_ledger"]
    (statement,) = statements(service.folder / "data")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] in KINDS
    assert labels_of(statement) <= {"verified", "observed", "reported"}
    return statement
