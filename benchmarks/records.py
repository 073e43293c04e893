"""Recording a finished step with 10 artifacts, and looking one up, beside an ORM-sync service.

Ours is the api process alone, doing all of its work: the record is sealed and durable
before the answer. The peer's record is durable before its answer too.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import load, requests
from benchmarks.load import Found, Job
from benchmarks.places import file_system
from benchmarks.requests import Asked
from benchmarks.results import Bar, Measured, Result, at_least
from benchmarks.rounds import Scale, interleaved
from benchmarks.servers import Service, api_alone, peer_alone


class Loaded:
    """One service under load; each call is one round of one kind of request."""

    def __init__(self, service: Service, scale: Scale) -> None:
        self._service = service
        self._scale = scale
        self._first = dict.fromkeys(("record", "lookup", "missing", "missing_one"), 0)
        self.found: dict[str, list[Found]] = {kind: [] for kind in self._first}

    def rate(self, kind: str) -> float:
        """Load for one round; return the answers per second."""
        job = Job(
            url=self._service.url,
            token=self._service.token,
            kind=kind,
            first=self._first[kind],
            connections=self._scale.connections,
            seconds=self._scale.seconds,
        )
        found = load.run(job)
        self._first[kind] = found.after
        self.found[kind].append(found)
        return found.rate

    def store(self) -> None:
        """Send the bytes of half of what `missing` asks for, and see that it says so.

        Raises:
            RuntimeError: It says something else.
        """
        for number in range(requests.UPLOADS):
            self._answer(requests.upload(number))
        left = len(json.loads(self._answer(requests.missing(0)))["missing"])
        if left != requests.TOGETHER - requests.UPLOADS:
            raise RuntimeError(f"{left} of {requests.TOGETHER} digests are said to be missing")

    def _answer(self, asked: Asked) -> bytes:
        request = urllib.request.Request(  # noqa: S310 - our own service on loopback
            self._service.url + asked.path,
            data=asked.body,
            method=asked.method,
            headers={
                "Authorization": f"Bearer {self._service.token}",
                "Content-Type": "application/json" if asked.body[:1] == b"{" else "application/octet-stream",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own service on loopback
            body: bytes = answer.read()
            return body

    def note(self, label: str, kind: str) -> str:
        """The latencies of all measured rounds in words."""
        rounds = self.found[kind][1:]
        p50, p99 = median(found.p50 for found in rounds), median(found.p99 for found in rounds)
        return f"{label}: p50 {p50:.0f} ms, p99 {p99:.0f} ms, peak memory {self._service.peak}"


def measure(scale: Scale) -> list[Result]:
    """Measure where the disk has to be waited for, and in memory, where only the code counts."""
    places = {file_system(place): place for place in (Path(tempfile.gettempdir()), scale.directory)}
    return [result for place in places.values() for result in _at(place, scale)]


def _at(place: Path, scale: Scale) -> list[Result]:
    top = Path(tempfile.mkdtemp(prefix="records-", dir=place))
    try:
        with api_alone(top / "ours") as ours, peer_alone(top / "peer") as peer:
            return _both(Loaded(ours, scale), Loaded(peer, scale), scale, file_system(place))
    finally:
        shutil.rmtree(top)


def _both(ours: Loaded, peer: Loaded, scale: Scale, place: str) -> list[Result]:
    """Records first: the look-ups ask for what they left."""
    results = []
    kinds: list[tuple[str, str, str, Sequence[Bar]]] = [
        ("records", "record", "POST /v1/records with 10 artifacts", [at_least(3)]),
        ("P7", "lookup", "GET /v1/artifacts/{digest}", [at_least(5)]),
    ]
    for name, kind, work, bars in kinds:
        mine, other = interleaved(partial(ours.rate, kind), partial(peer.rate, kind), rounds=scale.rounds)
        results.append(
            Result(
                name=name,
                work=f"{work}, {scale.connections} connections",
                ours=Measured("custody-server api", mine, "/s"),
                peer=Measured("FastAPI sync + SQLAlchemy ORM", other, "/s"),
                place=place,
                bars=bars,
                notes=[ours.note("ours", kind), peer.note("peer", kind)],
            )
        )
    return [*results, _together(ours, scale, place)]


def _together(ours: Loaded, scale: Scale, place: str) -> Result:
    """Many digests in one question, beside the same question about one, both of ours."""
    ours.store()
    many, single = interleaved(
        partial(ours.rate, "missing"), partial(ours.rate, "missing_one"), rounds=scale.rounds
    )
    return Result(
        name="P7",
        work=f"digests looked up {requests.TOGETHER:,} at a time, {scale.connections} connections",
        ours=Measured("POST /v1/blobs/missing", tuple(rate * requests.TOGETHER for rate in many), "/s"),
        peer=Measured("the same, one at a time", single, "/s"),
        place=place,
        bars=[at_least(30)],
        notes=["the bytes of every other digest are stored"],
    )
