"""Processes killed at random, and PostgreSQL stopped as by a power cut, while steps are recorded and bytes kept."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.attacks.remains import query
from tests.endurance.fleet import Fleet, a_fleet
from tests.kills.aftermath import assert_kept, drain
from tests.kills.load import Client
from tests.postgres import Cluster, a_cluster
from tests.running_service import PROCESSES

_CLIENTS: Final = 4
_DRAIN_SECONDS: Final = 300
_READY_SECONDS: Final = 80
"""Clients give up after ninety."""
_AWAY_SECONDS: Final = 0.5
"""How long at most the database is away before it is started again."""


@dataclass
class Toll:
    """What was done to the service, and what it kept."""

    killed: Counter[str] = field(default_factory=Counter)
    stops: int = 0
    minutes: float = 0
    steps: int = 0
    blobs: int = 0
    retries: int = 0
    orphans: int = 0
    """Stored blobs that nothing vouches for."""
    staged: int = 0
    """Uploads that a kill cut off; they are swept after a day."""


def endured(folder: Path, *, kills: int, stops: int, minutes: float, seed: int) -> Toll:
    """Kill and stop so often, spread over about `minutes`; raise where anything was lost or done twice."""
    toll = Toll()
    with a_cluster() as cluster, a_fleet(folder, cluster) as fleet:
        began = time.monotonic()
        stop = threading.Event()
        clients = [Client(fleet, seed + number, stop) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        _strike(fleet, cluster, toll, _Plan(kills, stops, minutes, random.Random(seed)))
        stop.set()
        _finish(fleet, clients)
        toll.minutes = (time.monotonic() - began) / 60
        fleet.wait_ready(120)
        drain(fleet, seconds=_DRAIN_SECONDS)
        toll.steps, toll.blobs = assert_kept(fleet, [client.promised for client in clients])
        toll.retries = sum(client.promised.retries for client in clients)
        _look_around(fleet, toll)
    assert toll.orphans == 0
    # Each kill may cut off what each client was sending, and what the process itself had begun.
    assert toll.staged <= (_CLIENTS + 2) * (kills + stops)
    return toll


@dataclass(frozen=True, slots=True)
class _Plan:
    """How often what is to happen."""

    kills: int
    stops: int
    minutes: float
    chance: random.Random


def _strike(fleet: Fleet, cluster: Cluster, toll: Toll, plan: _Plan) -> None:
    chance = plan.chance
    order = ["kill"] * plan.kills + ["stop"] * plan.stops
    chance.shuffle(order)
    for what in order:
        time.sleep(chance.random() * 2 * plan.minutes * 60 / len(order))
        fleet.start_if_gone()
        if what == "kill":
            name = chance.choice(PROCESSES)
            fleet.kill(name)
            toll.killed[name] += 1
        else:
            cluster.stop(signal.SIGQUIT)
            time.sleep(chance.random() * _AWAY_SECONDS)
            cluster.start()
            toll.stops += 1
        # An api that is killed before it has ever answered is no api under load.
        fleet.wait_ready(_READY_SECONDS)


def _finish(fleet: Fleet, clients: list[Client]) -> None:
    """Every client ends the step that it is at."""
    until = time.monotonic() + 180
    while any(client.is_alive() for client in clients):
        fleet.start_if_gone()
        assert time.monotonic() < until, "a client was never answered"
        time.sleep(0.1)


def _look_around(fleet: Fleet, toll: Toll) -> None:
    """Each client sent again what was cut off, so nothing lies there that nobody vouches for."""
    kept = {bytes(row[0]).hex() for row in query(fleet.folder, "SELECT digest FROM receipt")}
    root = fleet.folder / "objects"
    lying = {path.name for path in (root / "projects" / "default" / "blobs").rglob("*") if path.is_file()}
    toll.orphans = len(lying - kept)
    toll.staged = sum(1 for path in (root / "staging").rglob("*") if path.is_file())
    assert kept <= lying
