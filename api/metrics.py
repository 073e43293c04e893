"""Counters for Prometheus; no label ever holds what a caller wrote."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The registry of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "custody_requests", "Requests answered", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "custody_request_seconds", "Time to answer", labels, buckets=_BUCKETS, registry=self._registry
        )
        self._waiting = Gauge("custody_queue_jobs", "Jobs not yet done", ("kind",), registry=self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        known = method if method in {"GET", "HEAD", "POST", "PUT"} else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def text(self, waiting: dict[str, int]) -> bytes:
        """The Prometheus exposition; `waiting` is the queue's depth by kind."""
        for kind in ("sign", "hash"):
            self._waiting.labels(kind).set(waiting.get(kind, 0))
        return generate_latest(self._registry)
