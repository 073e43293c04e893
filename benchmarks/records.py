"""P8 and P7: recording a finished step with 10 artifacts, and looking one up, on both databases and both stores.

Ours is the api process alone, doing all of its work: the record is sealed and durable before
the answer. So is the record of each peer, in the same kind of database on the same server, and
in the same kind of store: one object a request. The look-up by the ORM stands for both peers.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import requests
from benchmarks.grounds import Ground, all_grounds
from benchmarks.loaded import Loaded
from benchmarks.results import Measured, Result, at_least
from benchmarks.rounds import Scale, in_turns, interleaved

_ORM, _CORE = "FastAPI sync + SQLAlchemy ORM", "FastAPI sync + SQLAlchemy Core, executemany"
_OURS = "custody-server api"


def measure(scale: Scale) -> list[Result]:
    """Measure where the disk has to be waited for, and on SQLite in memory too, where only the code counts."""
    disk = Path(tempfile.mkdtemp(prefix="records-"))
    memory = Path(tempfile.mkdtemp(prefix="records-", dir=scale.directory))
    # Five grounds: shorter rounds, and no more than three.
    shorter = replace(scale, rounds=min(scale.rounds, 3), seconds=min(scale.seconds, 2.0))
    try:
        with all_grounds(disk, memory, scale) as grounds:
            return [result for ground in grounds for result in _on(ground, shorter)]
    finally:
        shutil.rmtree(disk)
        shutil.rmtree(memory)


def _on(ground: Ground, scale: Scale) -> list[Result]:
    """Records first: the look-ups ask for what they left."""
    with ground.ours() as mine, ground.peer("orm_service") as orm, ground.peer("core_service") as core:
        ours, naive, quick = Loaded(mine, scale), Loaded(orm, scale), Loaded(core, scale)
        found = [*_recorded(ground, scale, ours, (naive, quick)), _looked_up(ground, scale, ours, naive)]
        # What is missing the index says alone, so one store stands for both.
        return found if ground.access is not None else [*found, _together(ground, scale, ours)]


def _recorded(ground: Ground, scale: Scale, ours: Loaded, peers: tuple[Loaded, Loaded]) -> list[Result]:
    sides = [partial(side.rate, "record") for side in (ours, *peers)]
    mine, *others = in_turns(sides, rounds=scale.rounds)
    return [
        Result(
            name="P8",
            work=f"POST /v1/records with 10 artifacts, {_of(ground, scale)}",
            ours=Measured(_OURS, mine, "/s"),
            peer=Measured(label, samples, "/s"),
            place=ground.place,
            bars=[at_least(bar)],
            notes=[ours.note("ours", "record"), peer.note("peer", "record")],
        )
        for label, bar, peer, samples in zip((_ORM, _CORE), (5, 3), peers, others, strict=True)
    ]


def _looked_up(ground: Ground, scale: Scale, ours: Loaded, peer: Loaded) -> Result:
    mine, other = interleaved(partial(ours.rate, "lookup"), partial(peer.rate, "lookup"), rounds=scale.rounds)
    return Result(
        name="P7",
        work=f"GET /v1/artifacts/{{digest}}, {_of(ground, scale)}",
        ours=Measured(_OURS, mine, "/s"),
        peer=Measured(_ORM, other, "/s"),
        place=ground.place,
        bars=[at_least(5)],
        notes=[ours.note("ours", "lookup"), peer.note("peer", "lookup")],
    )


def _together(ground: Ground, scale: Scale, ours: Loaded) -> Result:
    """Many digests in one question, beside the same question about one, both of ours."""
    ours.store()
    many, single = interleaved(
        partial(ours.rate, "missing"), partial(ours.rate, "missing_one"), rounds=scale.rounds
    )
    return Result(
        name="P7",
        work=f"digests looked up {requests.TOGETHER:,} at a time, {_of(ground, scale)}",
        ours=Measured("POST /v1/blobs/missing", tuple(rate * requests.TOGETHER for rate in many), "/s"),
        peer=Measured("the same, one at a time", single, "/s"),
        place=ground.place,
        bars=[at_least(30)],
        notes=["the bytes of every other digest are stored"],
    )


def _of(ground: Ground, scale: Scale) -> str:
    return f"{scale.connections} connections, {ground.name}"
