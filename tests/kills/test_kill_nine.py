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

import pytest

from tests.kills.aftermath import assert_kept, drain
from tests.kills.load import Client, Promised
from tests.running_service import Running

KILLS = int(os.environ.get("CUSTODY_KILLS", "30"))
CLIENTS = 4
SEED = 20261122


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
    # On a busy machine little gets done between two kills: the clients go on until enough was promised.
    until = time.monotonic() + 60
    while sum(len(client.promised.steps) for client in clients) < kills // 2 and time.monotonic() < until:
        running.start_if_gone()
        time.sleep(0.1)
    stop.set()
    until = time.monotonic() + 60
    while any(client.is_alive() for client in clients):
        running.start_if_gone()
        assert time.monotonic() < until, "a client was never answered"
        time.sleep(0.1)
    return [client.promised for client in clients], killed


@pytest.mark.slow
@pytest.mark.timeout(240 + 5 * KILLS)
def test_whatever_is_killed_nothing_promised_is_lost_and_nothing_is_signed_twice(running: Running) -> None:
    promises, killed = _under_load(running, KILLS)
    running.wait_ready()
    drain(running)
    steps, blobs = assert_kept(running, promises)
    print(f"{sum(killed.values())} kills {dict(killed)}, {steps} steps, {blobs} blobs")
    assert sum(killed.values()) >= KILLS
    assert steps >= KILLS // 2
    # What a kill left half written is in staging, where it is swept after a day.
    left = list((running.folder / "objects" / "staging").iterdir())
    assert len(left) <= (CLIENTS + 2) * sum(killed.values())
