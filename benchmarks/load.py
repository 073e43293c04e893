"""Load over HTTP/1.1 from a process of its own: raw sockets, kept alive, one request at a time each.

A job comes as JSON on standard input, what was found goes as JSON to standard output.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast
from urllib.parse import urlsplit

from benchmarks import requests

_PATIENCE = 30.0
_WARM_UP = 0.2
"""The part of a job's time that is spent before anything counts."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to send: `kind` names a function of `benchmarks.requests`, `first` its first number."""

    url: str
    token: str
    kind: str
    first: int
    connections: int
    seconds: float
    others: tuple[str, ...] = ()
    """Replicas of the service: connections go to all of them in turn."""
    among: int | None = None
    """Look-ups ask for outputs of that many steps, the first ones."""


@dataclass(frozen=True, slots=True)
class Found:
    """Answers per second, the latencies in milliseconds, and the first number not sent."""

    rate: float
    p50: float
    p99: float
    after: int


def run(job: Job) -> Found:
    """Do `job` in another process.

    Raises:
        RuntimeError: a request was not answered with 200 or 201.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(job)),
        capture_output=True,
        text=True,
        check=False,
        timeout=job.seconds + _PATIENCE,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Found(**json.loads(done.stdout))


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(self, following: Callable[[], bytes], until: float) -> None:
        self._next = following
        self._until = until
        self._held = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: list[tuple[float, float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is not derived from it
        self._send()

    def _send(self) -> None:
        request = self._next()
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, blank, body = self._held.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        self._held = b""
        now = time.perf_counter()
        if head[9:12] not in {b"200", b"201"}:
            self._end(RuntimeError((head + b"\n" + body).decode(errors="replace")))
            return
        self.answers.append((now, now - self._sent))
        if now < self._until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self._transport.close()


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0])


async def _load(job: Job) -> Found:
    form = getattr(requests, job.kind)
    if job.among is not None:
        form = partial(form, among=job.among)
    number = job.first

    def following(host: str) -> bytes:
        nonlocal number
        number += 1
        return requests.written(form(number - 1), host=host, token=job.token)

    began = time.perf_counter() + _WARM_UP * job.seconds
    until = began + job.seconds
    loop = asyncio.get_running_loop()
    hosts = itertools.islice(itertools.cycle([job.url, *job.others]), job.connections)
    connections = []
    for parts in map(urlsplit, hosts):
        sending = partial(_Connection, partial(following, parts.netloc), until)
        _, opened = await loop.create_connection(sending, parts.hostname or "127.0.0.1", parts.port or 80)
        connections.append(opened)
    await asyncio.gather(*(connection.done for connection in connections))
    answers = [answer for connection in connections for answer in connection.answers]
    took = sorted(latency for at, latency in answers if began <= at <= until)
    seconds = job.seconds
    if not took:  # each connection waits for an answer at least, however slow: then that is the rate
        took, seconds = sorted(latency for _, latency in answers), time.perf_counter() - began
    return Found(
        rate=len(took) / seconds,
        p50=took[len(took) // 2] * 1000,
        p99=took[len(took) * 99 // 100] * 1000,
        after=number,
    )


if __name__ == "__main__":
    import uvloop

    print(json.dumps(asdict(uvloop.run(_load(Job(**json.load(sys.stdin)))))))
