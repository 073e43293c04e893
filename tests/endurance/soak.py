"""The soak: many operations for a while, and one collection after the other beside them.

Clients read, write, ask, and send what nobody will need; that is made older than the grace
period where nobody looks (nothing shorter than an hour can be set, and a collector whose
period is shorter than that of the apis would break the protocol), collected at once, and sent
again or asked for at the same time. After each collection what was promised since the last
one is read, and some of all else; in the end everything is.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.attacks.remains import query
from tests.endurance.fleet import Fleet, a_fleet, resident
from tests.endurance.garbage import Collecting, a_collector, age
from tests.endurance.ledger import Content, Ledger
from tests.endurance.line import Line
from tests.endurance.memory import Memory
from tests.endurance.soak_load import MIX, Client, Pace, Score
from tests.kills.aftermath import drain
from tests.postgres import a_cluster
from tests.service import sha256

CLIENTS: Final = 32
MOST_MIB_A_MINUTE: Final = 1.0
PROCESSES: Final = ("api", "signer", "worker", "collector")
_FIRST: Final = 64
"""Blobs that are there when it begins."""
_OTHERS: Final = 20
"""How many of those that were promised long ago are read after each collection."""
_WARM_UP: Final = 0.25
"""The part of the time after which memory is looked at."""
_LEAST_MINUTES: Final = 10
"""A shorter soak says nothing about memory: processes still warm up."""
_SAMPLE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done, and over how many minutes."""

    operations: int
    collections: int
    minutes: float
    seed: int


@dataclass
class Soaked:
    """What was done, and what was seen."""

    plan: Plan
    score: Score = field(default_factory=Score)
    ledger: Ledger = field(default_factory=Ledger)
    memory: Memory = field(default_factory=Memory)
    collections: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    """How many blobs went, by reason."""
    minutes: float = 0
    read_after: int = 0
    """Blobs read after collections and in the end."""
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What should be gone and is not, or lies there without a row."""

    @property
    def warm(self) -> float:
        """The minute from which on memory counts."""
        return self.minutes * _WARM_UP

    def slopes(self) -> dict[str, float]:
        """MiB a minute of each process."""
        return {name: self.memory.slope(name, since=self.warm) for name in PROCESSES}


def soaked(folder: Path, plan: Plan) -> Soaked:
    """Do it; raise where anything was lost, answered with a 5xx, kept though it should go, or grew."""
    seen = Soaked(plan)
    with a_cluster(autovacuum="on") as cluster, a_fleet(folder, cluster) as fleet:
        url = fleet.settings["CUSTODY_DATABASE_URL"]
        with a_collector(fleet.folder, url) as collecting:
            began, pids = time.monotonic(), fleet.pids()
            pace = Pace(plan.operations, plan.minutes * 60, plan.collections)
            clients = _clients(fleet, seen, pace)
            _collect_beside(clients, fleet, collecting, seen, pace)
            seen.minutes = (time.monotonic() - began) / 60
            assert fleet.pids() == pids, "a process ended by itself"
            assert [client.failure for client in clients if client.failure is not None] == []
            _end(fleet, collecting, seen, url)
    _judge(seen)
    return seen


def _clients(fleet: Fleet, seen: Soaked, pace: Pace) -> list[Client]:
    clients = [
        Client(
            Line(fleet.port, fleet.token), seen.ledger, seen.score, pace, seed=seen.plan.seed * 1000 + number
        )
        for number in range(CLIENTS)
    ]
    for number in range(_FIRST):
        clients[number % CLIENTS].write_once()
    pace.began = time.monotonic()
    for client in clients:
        client.start()
    return clients


def _collect_beside(
    clients: Sequence[Client], fleet: Fleet, collecting: Collecting, seen: Soaked, pace: Pace
) -> None:
    """Collect as long as there are clients, a little more often than is asked for."""
    plan = seen.plan
    chance, line = random.Random(plan.seed), Line(fleet.port, fleet.token)
    pause = plan.minutes * 60 / plan.collections / 1.3
    began, sampled = time.monotonic(), float("-inf")
    while any(client.is_alive() for client in clients) or seen.collections < plan.collections:
        started = time.monotonic()
        _collect(fleet, collecting, seen)
        pace.collected()
        _look(line, [*seen.ledger.at_risk(), *seen.ledger.some(chance, _OTHERS)], seen)
        if started - sampled >= min(_SAMPLE_SECONDS, pause):
            sampled = started
            seen.memory.note((started - began) / 60, _resident(fleet, collecting))
        time.sleep(max(0.0, started + pause - time.monotonic()))
    line.close()


def _resident(fleet: Fleet, collecting: Collecting) -> dict[str, int]:
    return {**fleet.memory(), "collector": resident(collecting.pid)}


def _collect(fleet: Fleet, collecting: Collecting, seen: Soaked) -> None:
    url = fleet.settings["CUSTODY_DATABASE_URL"]
    seen.ledger.give_up(age(url, [one.hex for one in seen.ledger.sent()]))
    collecting.collect()
    seen.collections, seen.decided = collecting.rounds, collecting.decided


def _look(line: Line, contents: Iterable[Content], seen: Soaked) -> None:
    """All of these must be there and be what they were."""
    for content in {one.hex: one for one in contents}.values():
        status, got = line.ask("GET", f"/v1/blobs/{content.digest}")
        seen.read_after += 1
        if status != 200 or sha256(got) != content.hex:
            seen.lost.append(f"{content}: {status} {got[:200]!r}")


def _end(fleet: Fleet, collecting: Collecting, seen: Soaked, url: str) -> None:
    """Let everything under way end, and look at all of it."""
    drain(fleet, seconds=300)
    _collect(fleet, collecting, seen)
    drain(fleet, seconds=300)
    assert seen.ledger.sent() == []
    line = Line(fleet.port, fleet.token)
    _look(line, seen.ledger.all(), seen)
    for content in seen.ledger.all_given_up():
        status, _ = line.ask("GET", f"/v1/blobs/{content.digest}")
        if status != 404:
            seen.left.append(f"{content}: {status}")
    line.close()
    kept = {bytes(row[0]).hex() for row in query(fleet.folder, "SELECT digest FROM receipt")}
    root = fleet.folder / "objects"
    lying = {path.name for path in (root / "projects" / "default" / "blobs").rglob("*") if path.is_file()}
    seen.left += [f"no row: {name}" for name in lying - kept] + [f"no bytes: {name}" for name in kept - lying]
    seen.left += [str(path) for path in (root / "staging").rglob("*") if path.is_file()]


def _judge(seen: Soaked) -> None:
    assert seen.score.wrong == [], "\n".join(seen.score.wrong[:20])
    assert seen.lost == [], "\n".join(seen.lost[:20])
    assert seen.left == [], "\n".join(seen.left[:20])
    assert seen.score.operations.total() == seen.plan.operations
    assert seen.collections >= seen.plan.collections
    # Else nothing was at stake.
    assert set(seen.decided) == {"unnamed", "rule"}
    assert seen.ledger.revived > 0
    if seen.plan.minutes >= _LEAST_MINUTES:
        grown = {name: slope for name, slope in seen.slopes().items() if slope >= MOST_MIB_A_MINUTE}
        assert grown == {}, grown


def rows(seen: Soaked) -> list[tuple[str, str]]:
    """The table: what, and how much."""
    score = seen.score
    mix = ", ".join(f"{score.operations[kind]:,} {kind}" for kind in MIX)
    gone = ", ".join(f"{count:,} {reason}" for reason, count in sorted(seen.decided.items()))
    return [
        (f"operations by {CLIENTS} clients", f"{score.operations.total():,} ({mix})"),
        ("minutes", f"{seen.minutes:.1f}"),
        ("collections beside them", f"{seen.collections:,}"),
        ("blobs that were decided to go", f"{seen.decided.total():,} ({gone})"),
        ("given up, and sent again or told to be here before or after they went", f"{seen.ledger.revived:,}"),
        ("503 because the bytes were being removed; sent again", f"{score.being_removed:,}"),
        ("any other 5xx", f"{_others(score)}"),
        ("blobs promised, all read in the end", f"{len(seen.ledger.all()):,}"),
        ("reads after collections and in the end, each hashed", f"{seen.read_after:,}"),
        ("blobs lost", f"{len(seen.lost)}"),
        *((f"{kind}: p50, p99", _latency(score.seconds[kind])) for kind in MIX),
        *(
            (f"memory of the {name} after the first quarter, in the end", _memory(seen, name))
            for name in PROCESSES
        ),
    ]


def _others(score: Score) -> int:
    return sum(count for status, count in score.statuses.items() if status >= 500) - score.being_removed


def _latency(seconds: Iterable[float]) -> str:
    ordered = sorted(seconds)
    return ", ".join(f"{1000 * ordered[int(len(ordered) * part)]:.1f} ms" for part in (0.5, 0.99))


def _memory(seen: Soaked, name: str) -> str:
    first, last = seen.memory.span(name, since=seen.warm)
    return f"{first:.1f} MiB, {last:.1f} MiB; {seen.slopes()[name]:+.2f} MiB a minute"
