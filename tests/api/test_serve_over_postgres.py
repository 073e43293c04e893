"""The whole service over PostgreSQL: two processes of each kind, and a server that is stopped at once under them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.actors import an_id
from tests.postgres import Cluster, a_cluster
from tests.running_service import ROOT, Running, free_port, parsed
from tests.service import reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
STOPS = 3
RECORDS = 10
"""Between two stops."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that is stopped here, and so writes through to the disk."""
    with a_cluster() as made:
        yield made


@pytest.fixture
def index(cluster: Cluster) -> str:
    """The name of an empty database."""
    return cluster.empty()


@pytest.fixture
def running(cluster: Cluster, index: str, tmp_path: Path) -> Iterator[Running]:
    """`custody-server serve` with its index in PostgreSQL, as the owner of the database."""
    service = Running(tmp_path / "data", settings={"CUSTODY_DATABASE_URL": cluster.url(index)})
    service.start()
    try:
        service.wait_ready(120)
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def beside(running: Running, cluster: Cluster, index: str) -> Iterator[Running]:
    """A second api, signer and worker over the same database and objects, each with its own role."""
    second = dataclasses.replace(running, port=free_port(), serving=None)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    environment["CUSTODY_PUBLIC_URL"] = f"http://127.0.0.1:{running.port}"
    environment["CUSTODY_DATABASE_URL"] = cluster.url(index)
    migrate = [sys.executable, "-m", "api.commands", "migrate", "--roles", "--data", str(running.folder)]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
    started = []
    for process in ("api", "signer", "worker"):
        cluster.execute(f"CREATE ROLE second_{process} LOGIN IN ROLE custody_{process}")
        environment["CUSTODY_DATABASE_URL"] = cluster.url(index, role=f"second_{process}")
        command = [sys.executable, "-m", "api.commands", process, "--data", str(running.folder)]
        if process != "worker":
            command += ["--listen", f"127.0.0.1:{second.port}"]
        with (running.folder.parent / "serve.log").open("ab") as log:
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    try:
        second.wait_ready(120)
        yield second
    finally:
        for one in started:
            one.send_signal(signal.SIGTERM)
        # An api that is told to stop ends by that signal.
        assert {one.wait(60) for one in started} <= {0, -signal.SIGTERM}


def test_a_server_that_is_stopped_at_once_loses_nothing_that_was_acknowledged(
    running: Running, cluster: Cluster, index: str
) -> None:
    with beside(running, cluster, index) as second:
        recorded: list[str] = []
        refusals: list[int] = []
        ended = threading.Event()
        recording = [
            threading.Thread(target=record_on, args=(one, recorded, refusals, ended))
            for one in (running, second)
        ]
        for thread in recording:
            thread.start()
        try:
            for stop in range(1, STOPS + 1):
                wait_for(recorded, stop * RECORDS)
                cluster.stop(signal.SIGQUIT)
                status, answer = running.ask("POST", "/v1/records", body(an_id()))
                assert (status, parsed(answer)["type"].partition("#")[2]) == (503, "unavailable")
                cluster.start()
            wait_for(recorded, (STOPS + 1) * RECORDS)
        finally:
            ended.set()
            for thread in recording:
                thread.join()
        wait_signed(cluster, index, recorded)
    rows = cluster.execute("SELECT step FROM attestation", database=index)
    assert Counter(row[0] for row in rows) == Counter(recorded)
    assert len(list((running.folder / "objects" / "attestations").rglob("*.json"))) == len(recorded)
    assert sum(refusals) >= STOPS, "no stop met a request"


def record_on(running: Running, recorded: list[str], refusals: list[int], ended: threading.Event) -> None:
    """Record steps one after the other, and each until it is acknowledged."""
    while not ended.is_set():
        id_ = an_id()
        refusals.append(acknowledged(running, id_))
        recorded.append(id_)


def wait_for(recorded: list[str], count: int) -> None:
    deadline = time.monotonic() + 120
    while len(recorded) < count:
        assert time.monotonic() < deadline, "nothing is recorded any more"
        time.sleep(0.02)


def body(id_: str) -> dict[str, object]:
    return {"id": id_, "name": "x", "outcome": "succeeded", "outputs": [reference(id_.encode(), name="x")]}


def acknowledged(running: Running, id_: str) -> int:
    """Record until it is acknowledged; how often it was refused before."""
    deadline = time.monotonic() + 60
    refused = 0
    while time.monotonic() < deadline:
        status, answer = running.ask("POST", "/v1/records", body(id_))
        if status in {200, 201}:
            return refused
        assert status == 503, answer
        refused += 1
        time.sleep(0.1)
    raise AssertionError(f"{id_} was never acknowledged")


def wait_signed(cluster: Cluster, index: str, steps: list[str]) -> None:
    """Return when all are; a job that a stop interrupted is taken again when its lease of 30 s ends."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        rows = cluster.execute("SELECT id FROM step WHERE state = 'signed'", database=index)
        if {row[0] for row in rows} == set(steps):
            return
        time.sleep(0.5)
    raise AssertionError(cluster.execute("SELECT state, count(*) FROM step GROUP BY state", database=index))
