"""What an index costs as it grows: one of a million artifacts beside one of ten thousand, and P9 on the largest.

All sizes are served at once and measured in turns. They are filled by the statements of a
reindex, not by requests. `BENCH_GROWTH_ARTIFACTS` says how large the largest is; the others
have a tenth and a hundredth of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from api.settings import Settings
from benchmarks import ancestry, finished_steps, requests
from benchmarks.grounds import Ground, a_postgresql
from benchmarks.load import Found
from benchmarks.loaded import Loaded
from benchmarks.results import Measured, Result, Unit
from benchmarks.rounds import Scale, in_turns
from benchmarks.servers import api_alone, prepared

VARIABLE = "BENCH_GROWTH_ARTIFACTS"
_ARTIFACTS = 1_000_000
_KINDS = {"record": "POST /v1/records with 10 artifacts", "lookup": "GET /v1/artifacts/{digest}, any of them"}


@dataclass(frozen=True, slots=True)
class Grown:
    """An index of some size, being served."""

    artifacts: int
    steps: int
    bytes: int
    """What it took on the disk before anything was asked of it."""
    settings: Settings
    loaded: Loaded

    @property
    def label(self) -> str:
        """How large it is."""
        return f"{self.artifacts:,} artifacts"


@dataclass(slots=True)
class Alone:
    """Sends one request at a time, and keeps how long they took."""

    loaded: Loaded
    kind: str
    found: list[Found] = field(default_factory=list)

    def __call__(self) -> float:
        """Load for one round; return the median latency."""
        self.loaded.rate(self.kind, connections=1)
        self.found.append(self.loaded.found[self.kind][-1])
        return self.found[-1].p50


def measure(scale: Scale) -> list[Result]:
    """Measure on both databases, over a directory."""
    largest = int(os.environ.get(VARIABLE, min(_ARTIFACTS, scale.files * 100)))
    shorter = replace(scale, rounds=min(scale.rounds, 2), seconds=min(scale.seconds, 2.0))
    top = Path(tempfile.mkdtemp(prefix="growth-"))
    try:
        found = _on(Ground(top / "sqlite"), largest, shorter)
        with a_postgresql() as cluster:
            return found + _on(Ground(top / "postgresql", cluster), largest, shorter)
    finally:
        shutil.rmtree(top)


def _on(ground: Ground, largest: int, scale: Scale) -> list[Result]:
    with ExitStack() as serving:
        sizes = [largest // 100, largest // 10, largest]
        grown = [serving.enter_context(_grown(ground, size, scale)) for size in sizes]
        results = [result for kind in _KINDS for result in _asked(ground, kind, grown, scale)]
        return [
            *results,
            *(_kept(ground, each, grown[0]) for each in grown[1:]),
            *ancestry.traced(ground, grown[-1].settings, grown[-1].steps, grown[-1].label, scale),
        ]


@contextmanager
def _grown(ground: Ground, artifacts: int, scale: Scale) -> Iterator[Grown]:
    steps, top = max(artifacts // requests.OUTPUTS, 1), ground.top / str(artifacts)
    variables = ground.settings("ours")
    settings = prepared(top, **variables)
    empty = _size(ground, settings)
    finished_steps.fill(settings, steps)
    taken = _size(ground, settings) - empty
    with api_alone(top, **variables) as service:
        yield Grown(artifacts, steps, taken, settings, Loaded(service, scale, steps=steps, among=steps))


def _size(ground: Ground, settings: Settings) -> int:
    """The bytes of the index; what was written is looked at as the server would, sooner or later."""
    if ground.cluster is None:
        return sum(file.stat().st_size for file in (settings.data / "index").iterdir())
    name = urlsplit(settings.index_url).path.lstrip("/")
    rows = ground.cluster.execute(
        "VACUUM ANALYZE", "SELECT pg_database_size(current_database())", database=name
    )
    return int(rows[0][0])


def _asked(ground: Ground, kind: str, grown: list[Grown], scale: Scale) -> list[Result]:
    rates = in_turns([partial(each.loaded.rate, kind) for each in grown], rounds=scale.rounds)
    alone = [Alone(each.loaded, kind) for each in grown]
    in_turns(alone, rounds=scale.rounds)

    work = f"{_KINDS[kind]}, {ground.name}"
    told = [
        f"filled by the statements of a reindex: steps of {requests.OUTPUTS} outputs, each with a statement"
    ]
    latencies: dict[str, Callable[[Found], float]] = {
        "half of them": lambda one: one.p50,
        "99 of 100": lambda one: one.p99,
    }
    found = _beside(f"{work}, {scale.connections} connections", "/s", grown, rates, ground.place, told)
    for part, of in latencies.items():
        samples = [tuple(of(one) for one in each.found[1:]) for each in alone]
        one_by_one = f"{work}, one after the other, {part} within"
        found += _beside(one_by_one, "ms", grown, samples, ground.place)
    return found


def _beside(
    work: str,
    unit: Unit,
    grown: list[Grown],
    samples: list[tuple[float, ...]],
    place: str,
    notes: Sequence[str] = (),
) -> list[Result]:
    """Each size beside the smallest."""
    smallest, *larger = (Measured(each.label, some, unit) for each, some in zip(grown, samples, strict=True))
    return [Result("growth", work, each, smallest, place, notes=notes) for each in larger]


def _kept(ground: Ground, grown: Grown, smallest: Grown) -> Result:
    def each(index: Grown) -> Measured:
        return Measured(index.label, (index.bytes / index.artifacts,), "bytes")

    return Result(
        "growth", f"index of {ground.name}, for each artifact", each(grown), each(smallest), ground.place
    )
