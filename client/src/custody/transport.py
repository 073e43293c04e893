"""One connection to one service: retried, bounded, and never led elsewhere.

Every write of Custody may be repeated, so anything that fails on the way is tried
again. Redirects are not followed: the token belongs to the configured host.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from custody import __version__
from custody.bodies import Content
from custody.connections import Address, open_connection, parse_address
from custody.errors import ContentError, ServiceError, UnreachableError
from custody.versions import heed

MAX_ANSWER = 16 * 1024 * 1024
_CHUNK = 256 * 1024
_AGAIN = (429, 502, 503, 504)
_LONGEST_PAUSE = 30.0


class Patience(NamedTuple):
    """How long to try before giving up."""

    attempts: int = 4
    timeout: float = 60.0
    first_pause: float = 0.25
    longest_pause: float = 8.0
    total: float = 120.0

    def pause(self, attempt: int) -> float:
        """Return how long to wait before attempt number `attempt`, with jitter."""
        ceiling: float = min(self.longest_pause, self.first_pause * 2 ** (attempt - 1))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing


BRIEF = Patience(attempts=3, timeout=10.0, first_pause=0.2, total=8.0)
"""For a build that must not wait for a dead service."""

STEADY = Patience(attempts=7)
"""For what would be lost if it were not sent."""


class Request(NamedTuple):
    """What to ask. `path` begins with `/` and is already quoted."""

    method: str
    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | Content | None = None


class Answer(NamedTuple):
    """A whole answer, read into memory."""

    code: int
    headers: Mapping[str, str]
    body: bytes


class AbandonedError(Exception):
    """Another thread ended this request: it says nothing about the service."""


class _TryAgainError(Exception):
    """This attempt failed in a way that another one may mend."""

    def __init__(self, why: str, *, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Transport:
    """Asks one service. Safe to share between threads; one request at a time."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        patience: Patience | None = None,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """Prepare for the service at `url`; nothing is connected yet.

        Raises:
            MisuseError: `url` is no http or https address.
        """
        self.address: Address = parse_address(url)
        self.patience = patience or Patience()
        self._token = token
        self._sleep = sleep
        self._connection: HTTPConnection | None = None
        self._lock = threading.RLock()
        self._abandoned = threading.Event()

    def ask(self, request: Request, *, limit: int = MAX_ANSWER) -> Answer:
        """Return the answer to `request`, whatever its status.

        Raises:
            UnreachableError: No attempt was answered.
            ServiceError: The answer is larger than `limit`.
        """
        with self.open(request) as response:
            try:
                body = response.read(limit + 1)
            except (OSError, HTTPException) as error:
                self._go_on()
                raise UnreachableError(f"the answer broke off: {_reason(error)}") from error
            if len(body) > limit:
                raise ServiceError(f"the answer is larger than {limit} bytes")
            return Answer(response.status, _lowered(response), body)

    @contextmanager
    def open(self, request: Request) -> Iterator[HTTPResponse]:
        """Yield the response to `request` with its body unread.

        Raises:
            UnreachableError: No attempt was answered.
        """
        with self._lock:
            response = self._persist(request)
            try:
                yield response
            finally:
                # An unread body would be taken for the next answer.
                if not response.isclosed() or response.will_close:
                    self.close()

    def twin(self) -> Transport:
        """Return a transport to the same service with a connection of its own."""
        return Transport(self.address.shown, self._token, patience=self.patience, sleep=self._sleep)

    def abandon(self) -> None:
        """End, from another thread, what is under way; nothing is asked any more.

        Whoever waits for an answer meets `AbandonedError`.
        """
        self._abandoned.set()
        open_socket = getattr(self._connection, "sock", None)
        if open_socket is not None:
            with suppress(OSError):
                # The plain one under TLS too: that of ssl takes the session from under who reads.
                socket.socket.shutdown(open_socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Drop the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _persist(self, request: Request) -> HTTPResponse:
        attempt, began = 1, time.monotonic()
        while True:
            last = attempt >= self.patience.attempts
            fresh = self._connection is None
            try:
                return self._attempt(request, last=last)
            except _TryAgainError as error:
                self.close()
                self._go_on()
                if last or time.monotonic() - began > self.patience.total:
                    raise UnreachableError(f"{self.address.shown} does not answer: {error}") from error
                # A kept connection may simply have been closed meanwhile: that costs no pause.
                if fresh or error.after is not None:
                    self._pause(self._wait(attempt, error.after))
                attempt += 1
            except BaseException:
                self.close()
                raise

    def _go_on(self) -> None:
        if self._abandoned.is_set():
            raise AbandonedError

    def _pause(self, seconds: float) -> None:
        (self._sleep or self._abandoned.wait)(seconds)

    def _wait(self, attempt: int, asked: float | None) -> float:
        return self.patience.pause(attempt) if asked is None else min(asked, _LONGEST_PAUSE)

    def _attempt(self, request: Request, *, last: bool) -> HTTPResponse:
        try:
            response = self._exchange(request)
        except (OSError, HTTPException) as error:
            if hasattr(error, "verify_code"):  # a certificate will not become valid by asking again
                raise UnreachableError(
                    f"{self.address.shown} shows a certificate nobody here trusts: {_reason(error)}",
                    hint="point SSL_CERT_FILE at the authority that signed it",
                ) from error
            raise _TryAgainError(_reason(error)) from error
        heed(response.headers.get("Custody-Version"))
        if response.status in _AGAIN and not last:
            raise _TryAgainError(f"status {response.status}", after=_retry_after(response))
        return response

    def _exchange(self, request: Request) -> HTTPResponse:
        if self._connection is None:
            self._connection = open_connection(self.address, timeout=self.patience.timeout)
        # After the connection is where abandon() finds it, so that one of the two ends this request.
        self._go_on()
        connection = self._connection
        try:
            self._send(connection, request)
        except (BrokenPipeError, ConnectionResetError):
            # A service that refuses a body answers before it has read all of it.
            response = connection.getresponse()
            if response.status < 400:
                raise
            return response
        return connection.getresponse()

    def _send(self, connection: HTTPConnection, request: Request) -> None:
        headers = {"User-Agent": f"custody/{__version__}", "Accept": "application/json", **request.headers}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        path = self.address.prefix + request.path
        if not isinstance(request.body, Content):
            connection.request(request.method, path, request.body, headers)
            return
        headers["Content-Length"] = str(request.body.size)
        with request.body.open() as stream:
            # Chunks and not the stream itself: a growing file must not be sent beyond
            # the length that was announced, nor a truncated one end the request silently.
            chunks = _exactly(stream, request.body.size)
            connection.request(request.method, path, chunks, headers)


def _exactly(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of `stream`; a file that shrank is filled up, to be refused by its digest."""
    left = size
    while left:
        want = min(left, _CHUNK)
        try:
            chunk = stream.read(want) or bytes(want)
        except OSError as error:
            raise ContentError(f"cannot be read: {error.strerror}") from error
        left -= len(chunk)
        yield chunk


def _lowered(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _retry_after(response: HTTPResponse) -> float | None:
    written = response.headers.get("Retry-After", "")
    return float(written) if written.isascii() and written.isdigit() and len(written) < 6 else None


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
