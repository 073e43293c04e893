"""What each process counts, for Prometheus; no label ever holds what a caller wrote.

`docs/operating.md` has a line for each name, and `docs/grafana/custody.json` draws them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from api.version import VERSION
from artifacts.batcher import Batcher
from artifacts.errors import CustodyError
from artifacts.judging import Collected
from artifacts.queries.queue import Backlog, Job

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_LONG: Final = (*_BUCKETS, 60.0, 600.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT"})
Batchers = Mapping[str, Batcher[Any, Any]]  # Any: whatever is batched
Work = Callable[[Job], Awaitable[None]]


class Metrics:
    """The registry of one process, with what every process counts."""

    def __init__(self, process: str) -> None:
        self.registry = CollectorRegistry()
        build = Gauge("custody_build_info", "1", ("version", "process"), registry=self.registry)
        build.labels(VERSION, process).set(1)
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "custody_store_calls",
            "Calls on the object store",
            ("operation", "outcome"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "custody_store_seconds",
            "Time of a call on the object store",
            ("operation",),
            buckets=_LONG,
            registry=self.registry,
        )
        self._bytes = Counter(
            "custody_store_bytes",
            "Bytes that went to the object store and came from it",
            ("direction",),
            registry=self.registry,
        )

    def called(self, operation: str, outcome: str, seconds: float) -> None:
        """Count a call on the store that ended."""
        self._calls.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(seconds)

    def moved(self, direction: str, size: int) -> None:
        """Count bytes that were `written` or `read`."""
        self._bytes.labels(direction).inc(size)

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self.registry)


def outcome_of(error: BaseException | None) -> str:
    """How a call ended, in one of few words: `ok`, or the slug of our own error."""
    if error is None:
        return "ok"
    return error.slug if isinstance(error, CustodyError) else "failed"


class ApiMetrics(Metrics):
    """What an api counts beside that: requests, batches, and the queue as the index has it."""

    def __init__(self) -> None:
        super().__init__("api")
        labels = ("method", "route")
        self._requests = Counter(
            "custody_requests", "Requests answered", (*labels, "status"), registry=self.registry
        )
        self._answering = Histogram(
            "custody_request_seconds", "Time to answer", labels, buckets=_BUCKETS, registry=self.registry
        )
        self._under_way = Gauge("custody_requests_under_way", "Requests under way", registry=self.registry)
        self._waiting = Gauge("custody_queue_jobs", "Jobs not yet done", ("kind",), registry=self.registry)
        self._oldest = Gauge(
            "custody_queue_oldest_seconds",
            "How long the job that waits longest could have been taken",
            ("kind",),
            registry=self.registry,
        )
        self._unsigned = Gauge(
            "custody_unsigned_oldest_seconds",
            "How long ago the step finished that has waited longest for its signature",
            registry=self.registry,
        )

    def began(self) -> None:
        """Count a request that is under way."""
        self._under_way.inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        known = method if method in _METHODS else "other"
        self._under_way.dec()
        self._requests.labels(known, route, str(status)).inc()
        self._answering.labels(known, route).observe(seconds)

    def show_batches(self, batchers: Batchers) -> None:
        """Count from now on what these batchers write."""
        self.registry.register(_Batches(batchers))

    def show_queue(self, backlog: Backlog, *, now: int) -> None:
        """Take over what the index says of the queue at `now`."""
        for kind, (jobs, available_at) in backlog.kinds.items():
            self._waiting.labels(kind).set(jobs)
            self._oldest.labels(kind).set(_since(available_at, now))
        self._unsigned.set(_since(backlog.unsigned_since, now))


def _since(moment: int | None, now: int) -> float:
    return 0.0 if moment is None else max(0, now - moment) / 1000


class LabourMetrics(Metrics):
    """What a signer or a worker counts beside that: jobs, and what they found."""

    def __init__(self, process: str) -> None:
        super().__init__(process)
        self._jobs = Counter(
            "custody_jobs", "Jobs taken off the queue and ended", ("kind", "outcome"), registry=self.registry
        )
        self._labour = Histogram(
            "custody_job_seconds", "Time of a job", ("kind",), buckets=_LONG, registry=self.registry
        )
        labels = ("kind", "reason")
        self._collected = Counter(
            "custody_collected", "Things decided to be removed", labels, registry=self.registry
        )
        self._collected_bytes = Counter(
            "custody_collected_bytes", "Their bytes", labels, registry=self.registry
        )
        self._damaged = Counter("custody_damage_found", "Damaged objects found", registry=self.registry)

    def counting(self, kind: str, work: Work) -> Work:
        """`work` on jobs of `kind`, counted."""
        # Shown from the start, so that nobody has to wait for the first to see that there was none.
        done, failed = self._jobs.labels(kind, "done"), self._jobs.labels(kind, "failed")
        seconds = self._labour.labels(kind)

        async def counted(job: Job) -> None:
            began = time.perf_counter()
            try:
                await work(job)
            except BaseException:
                failed.inc()
                raise
            done.inc()
            seconds.observe(time.perf_counter() - began)

        return counted

    def counted(self, kind: str, jobs: int, *, seconds: float) -> None:
        """Count jobs that were done together."""
        self._jobs.labels(kind, "done").inc(jobs)
        self._labour.labels(kind).observe(seconds)

    def collected(self, found: Collected) -> None:
        """Count what a collection lets go, of all projects together."""
        for (_, kind, reason), count in found.things.items():
            self._collected.labels(kind, reason).inc(count)
        for (_, kind, reason), size in found.bytes.items():
            self._collected_bytes.labels(kind, reason).inc(size)

    def damaged(self) -> None:
        """Count an object that does not hold what it should."""
        self._damaged.inc()


class _Batches(Collector):
    """Reads the counts that batchers keep by themselves, when somebody asks."""

    def __init__(self, batchers: Batchers) -> None:
        self._batchers = batchers

    def collect(self) -> Iterator[Metric]:
        """Batches written and what was in them, by what they were of."""
        batches = CounterMetricFamily("custody_batches", "Batches written", labels=("of",))
        members = CounterMetricFamily("custody_batch_members", "Members of these batches", labels=("of",))
        for name, batcher in self._batchers.items():
            batches.add_metric((name,), batcher.batches)
            members.add_metric((name,), batcher.members)
        yield batches
        yield members
