"""kill -9 of any process at any moment loses nothing acknowledged and signs nothing twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.remains import query
from tests.attacks.statements import statements
from tests.kills.load import Client, Promised
from tests.running_service import Running, parsed
from tests.service import sha256

KILLS = int(os.environ.get("CUSTODY_KILLS", "30"))
CLIENTS = 4
SEED = 20261122
# A lease of a killed process ends after 30 seconds; only then is its work taken again.
DRAIN_SECONDS = 75


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    service = Running(tmp_path / "data")
    (tmp_path / "data").mkdir()
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()


def _kill_at_random(running: Running, kills: int) -> Counter[str]:
    chance = random.Random(SEED)
    killed: Counter[str] = Counter()
    while sum(killed.values()) < kills:
        time.sleep(chance.uniform(0.1, 1.6))
        running.start_if_gone()
        living = running.pids()
        assert running.serving is not None
        name = chance.choice(["api", "api", "signer", "worker", "serve"])
        pid = running.serving.pid if name == "serve" else living.get(name)
        # Killing `serve` every time would only ever test the start.
        if pid is None or (name == "serve" and killed["serve"] >= kills // 10):
            continue
        os.kill(pid, signal.SIGKILL)
        killed[name] += 1
        if name == "serve":
            running.serving.wait()
            _wait_gone(living)
    return killed


def _wait_gone(pids: dict[str, int]) -> None:
    """The children of a dead `serve` notice it and stop by themselves."""
    until = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids.values()):
        assert time.monotonic() < until, f"{pids} outlived their parent"
        time.sleep(0.05)


def _under_load(running: Running, kills: int) -> tuple[list[Promised], Counter[str]]:
    stop = threading.Event()
    clients = [Client(running, SEED + number, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    killed = _kill_at_random(running, kills)
    stop.set()
    until = time.monotonic() + 60
    while any(client.is_alive() for client in clients):
        running.start_if_gone()
        assert time.monotonic() < until, "a client was never answered"
        time.sleep(0.1)
    return [client.promised for client in clients], killed


def _drain(running: Running) -> None:
    """Everything under way comes to its end."""
    until = time.monotonic() + DRAIN_SECONDS
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


@pytest.mark.slow
@pytest.mark.timeout(240 + 5 * KILLS)
def test_whatever_is_killed_nothing_promised_is_lost_and_nothing_is_signed_twice(running: Running) -> None:
    promises, killed = _under_load(running, KILLS)
    running.wait_ready()
    _drain(running)
    steps = {id_: outcome for promised in promises for id_, outcome in promised.steps.items()}
    blobs = {digest: content for promised in promises for digest, content in promised.blobs.items()}
    print(f"{sum(killed.values())} kills {dict(killed)}, {len(steps)} steps, {len(blobs)} blobs")
    assert sum(killed.values()) >= KILLS
    assert len(steps) >= KILLS // 2
    assert [text for promised in promises for text in promised.refused] == []
    _assert_blobs(running, blobs)
    _assert_steps(running, steps)
    _assert_statements(running, set(steps))
    # What a kill left half written is in staging, where it is swept after a day.
    left = list((running.folder / "objects" / "staging").iterdir())
    assert len(left) <= (CLIENTS + 2) * sum(killed.values())


def _assert_blobs(running: Running, blobs: dict[str, bytes]) -> None:
    for digest, content in blobs.items():
        status, got = running.ask("GET", f"/v1/blobs/{digest}")
        assert (status, sha256(got)) == (200, sha256(content))
    wanted = list(blobs)
    for start in range(0, len(wanted), 1000):
        _, answer = running.ask("POST", "/v1/blobs/missing", {"digests": wanted[start : start + 1000]})
        assert parsed(answer) == {"missing": []}


def _assert_steps(running: Running, steps: dict[str, str]) -> None:
    for id_, outcome in steps.items():
        page = parsed(running.ask("GET", f"/v1/steps/{id_}")[1])
        assert (page["state"], page["outcome"]) == ("signed", outcome), page
        assert [entry["state"] for entry in page["ledger"]] == ["open", "sealed", "signed"], page
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
