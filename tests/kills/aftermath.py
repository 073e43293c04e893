"""What must hold after kills, whatever was killed: nothing promised is lost, nothing is signed twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.attacks.remains import query
from tests.attacks.statements import statements
from tests.kills.load import Promised
from tests.running_service import Running, parsed
from tests.service import sha256

# A lease of a killed process ends after 30 seconds; only then is its work taken again.
DRAIN_SECONDS = 75


def drain(running: Running, *, seconds: float = DRAIN_SECONDS) -> None:
    """Everything under way comes to its end."""
    until = time.monotonic() + seconds
    waiting: Any = None
    while time.monotonic() < until:
        running.start_if_gone()
        waiting = query(running.folder, "SELECT kind, topic FROM queue") + query(
            running.folder, "SELECT state, id FROM step WHERE state NOT IN ('signed', 'refused')"
        )
        if not waiting:
            return
        time.sleep(0.25)
    raise AssertionError(f"still waiting: {waiting[:10]}")


def assert_kept(running: Running, promises: Iterable[Promised]) -> tuple[int, int]:
    """All that was acknowledged is there, once; how many steps and blobs that were."""
    promised = list(promises)
    steps = {id_: outcome for one in promised for id_, outcome in one.steps.items()}
    blobs = {digest: size for one in promised for digest, size in one.blobs.items()}
    refused = [text for one in promised for text in one.refused]
    assert refused == [], "\n".join(refused[:10])
    _assert_blobs(running, blobs)
    _assert_steps(running, steps)
    _assert_statements(running, set(steps))
    return len(steps), len(blobs)


def _assert_blobs(running: Running, blobs: dict[str, int]) -> None:
    for digest, size in blobs.items():
        status, got = running.ask("GET", f"/v1/blobs/{digest}")
        assert (status, len(got), f"sha256:{sha256(got)}") == (200, size, digest)
    wanted = list(blobs)
    for start in range(0, len(wanted), 1000):
        _, answer = running.ask("POST", "/v1/blobs/missing", {"digests": wanted[start : start + 1000]})
        assert parsed(answer) == {"missing": []}


def _assert_steps(running: Running, steps: dict[str, str]) -> None:
    for id_, outcome in steps.items():
        page = parsed(running.ask("GET", f"/v1/steps/{id_}")[1])
        assert (page["state"], page["outcome"]) == ("signed", outcome), page
        states = [entry["state"] for entry in page["ledger"]]
        # Nothing is left on the queue, so it is logged too, and once.
        assert states == ["open", "sealed", "signed", "logged"], page
        (stated,) = page["attestations"]
        status, bundle = running.ask("GET", stated["url"])
        assert (status, f"sha256:{sha256(bundle)}") == (200, stated["digest"])


def _assert_statements(running: Running, steps: set[str]) -> None:
    """In the store as in the index: one statement a step, and none of a step nobody finished."""
    rows = Counter(row[0] for row in query(running.folder, "SELECT step FROM attestation"))
    assert set(rows) >= steps
    assert set(rows.values()) == {1}
    stored = Counter(map(_step_of, statements(running.folder)))
    assert stored == rows


def _step_of(statement: Any) -> str:  # Any: JSON
    predicate = statement["predicate"]
    if "record" in predicate:
        return str(predicate["record"]["step"])
    return str(predicate["runDetails"]["metadata"]["invocationId"])
