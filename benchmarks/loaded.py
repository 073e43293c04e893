"""A service under load, round after round."""

from __future__ import annotations

import json
import urllib.request
from statistics import median

from benchmarks import load, requests
from benchmarks.load import Found, Job
from benchmarks.requests import Asked
from benchmarks.rounds import Scale
from benchmarks.servers import Service


class Loaded:
    """One service under load; each call is one round of one kind of request."""

    def __init__(self, service: Service, scale: Scale, *, steps: int = 0, among: int | None = None) -> None:
        """`steps` are there already; look-ups ask for outputs of `among` of them."""
        self._service = service
        self._scale = scale
        self._among = among
        self._first = dict.fromkeys(("record", "lookup", "missing", "missing_one"), 0)
        self._first["record"] = steps
        self.found: dict[str, list[Found]] = {}

    def rate(self, kind: str, *others: str, connections: int | None = None) -> float:
        """Load for one round, replicas at the URLs `others` too; return the answers per second."""
        job = Job(
            url=self._service.url,
            token=self._service.token,
            kind=kind,
            first=self._first[kind],
            connections=connections or self._scale.connections,
            seconds=self._scale.seconds,
            others=others,
            among=self._sought() if kind == "lookup" else None,
        )
        found = load.run(job)
        self._first[kind] = found.after
        self.found.setdefault(kind, []).append(found)
        return found.rate

    def _sought(self) -> int:
        """Of how many steps outputs are looked up: of none that was not recorded."""
        return self._among or max(1, min(requests.KNOWN, self._first["record"]))

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
