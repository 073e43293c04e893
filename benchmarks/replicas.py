"""Two replicas of the api beside one, over one PostgreSQL server and one directory.

Whoever sends and the database run on the same cores as the replicas do, so the ratio says what
a second replica is worth on this machine, and no more. Nothing is held against it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.grounds import Ground, a_postgresql
from benchmarks.loaded import Loaded
from benchmarks.results import Measured, Result
from benchmarks.rounds import Scale, interleaved
from benchmarks.servers import api_alone


def measure(scale: Scale) -> list[Result]:
    """Send to one of two replicas, and to both with as many connections together."""
    top = Path(tempfile.mkdtemp(prefix="replicas-"))
    try:
        with a_postgresql() as cluster:
            return _measured(Ground(top, cluster), scale)
    finally:
        shutil.rmtree(top)


def _measured(ground: Ground, scale: Scale) -> list[Result]:
    settings, cores = ground.settings("all"), len(os.sched_getaffinity(0))
    with api_alone(ground.top, **settings) as first, api_alone(ground.top, **settings) as second:
        loaded = Loaded(first, scale)
        kinds = {"record": "POST /v1/records with 10 artifacts", "lookup": "GET /v1/artifacts/{digest}"}
        found = []
        for kind, work in kinds.items():
            both, one = interleaved(
                partial(loaded.rate, kind, second.url),
                partial(loaded.rate, kind),
                rounds=min(scale.rounds, 3),
            )
            found.append(
                Result(
                    "replicas",
                    f"{work}, {scale.connections} connections, {ground.name}",
                    Measured("two replicas of the api", both, "/s"),
                    Measured("one", one, "/s"),
                    ground.place,
                    notes=[f"replicas, database and sender share {cores} cores"],
                )
            )
        return found
