"""A strict S3 server on the loopback interface, over real sockets.

It checks signatures, sums and conditions, pages its lists, and fails as told.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.s3.faults import Fault, Plan, instead
from tests.fakes.s3.messages import Answer, RefusedError, Request
from tests.fakes.s3.operations import Operations, operation
from tests.fakes.s3.shelf import Shelf
from tests.fakes.s3.signing import Gate
from tests.fakes.s3.sums import check_sums

ACCESS_KEY, SECRET_KEY, BUCKET = "TESTKEY", "test-secret", "custody-test"


class FakeS3:
    """One bucket. `faults` says what goes wrong; `silence` how long a hanging answer hangs."""

    def __init__(self, *, page: int = 1000, silence: float = 2.0, locks: bool = False) -> None:
        self.shelf, self.faults = Shelf(), Plan()
        self.silence, self.refuse_seconds = silence, 0.1
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.seen: list[str] = []
        self.before: Callable[[str], None] = lambda name: None
        self._gate = Gate(ACCESS_KEY, SECRET_KEY, self._moment)
        self._operations = Operations(BUCKET, self.shelf, self._moment, page, locks)
        self._connections: set[socket.socket] = set()
        self._port, self._closed = 0, False
        self._going = threading.Lock()
        self._listen()

    def _listen(self) -> None:
        outer = self

        class Talking(_Connection):
            fake = outer

        self._server = _Server(("127.0.0.1", self._port), Talking)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _moment(self) -> datetime:
        return self.now()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def serve(self, request: Request) -> Answer:
        """Answer one request as S3 would."""
        try:
            self._gate.check(request)
            check_sums(request)
        except RefusedError as error:
            return error.answer
        return self.answer_unsigned(request)

    def answer_unsigned(self, request: Request) -> Answer:
        """Answer a request that was let through."""
        try:
            return self._operations.answer(request)
        except RefusedError as error:
            return error.answer

    def go_away(self) -> None:
        """Refuse connections for a moment, the open ones included."""
        if not self._going.acquire(blocking=False):
            return
        try:
            self._server.shutdown()
            self._server.server_close()
            for connection in list(self._connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            time.sleep(self.refuse_seconds)
            if not self._closed:
                self._listen()
        finally:
            self._going.release()

    def close(self) -> None:
        self._closed = True
        with self._going:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections break here on purpose."""


class _Connection(BaseHTTPRequestHandler):
    fake: FakeS3
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.fake._connections.add(self.connection)

    def finish(self) -> None:
        self.fake._connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, path, query, headers, body)
        name = operation(request)
        self.fake.seen.append(name)
        self.fake.before(name)
        fault = self.fake.faults.take(name)
        if fault is None:
            self._send(self.fake.serve(request))
        else:
            self._fail(fault, request)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815  # names that http.server looks up

    def _fail(self, fault: Fault, request: Request) -> None:
        answer = instead(fault)
        if answer is not None:
            self._send(answer)
        elif fault is Fault.REFUSED:
            threading.Thread(target=self.fake.go_away, daemon=True).start()
            self._cut()
        elif fault is Fault.RESET_BEFORE_BODY:
            self._cut(reset=True)
        elif fault in {Fault.TIMEOUT, Fault.HANG}:
            time.sleep(self.fake.silence if fault is Fault.HANG else self.fake.silence / 2)
            self._cut()
        else:
            self._fail_after(fault, request)

    def _fail_after(self, fault: Fault, request: Request) -> None:
        answer = self.fake.serve(request)
        if fault is Fault.LOST_ANSWER:
            self._cut()
        elif fault is Fault.DUPLICATE:
            self._send(self.fake.serve(request))
        elif fault is Fault.REPEATED_PAGE:
            self._send(self.fake.answer_unsigned(_first_page(request)))
        elif fault is Fault.BIT_FLIP:
            flipped = bytearray(answer.body)
            if flipped:
                flipped[len(flipped) // 2] ^= 1
            self._send(Answer(answer.status, bytes(flipped), answer.headers))
        else:
            self._send_broken(fault, answer)

    def _send_broken(self, fault: Fault, answer: Answer) -> None:
        sent = self._bytes(answer)
        if fault is Fault.DRIP:
            for place in range(len(sent)):
                self.wfile.write(sent[place : place + 1])
                time.sleep(0.02)
            return
        if fault is Fault.WRONG_LENGTH:
            length = len(answer.body)
            sent = sent.replace(b"Content-Length: %d\r" % length, b"Content-Length: %d\r" % (length + 7))
        else:
            sent = sent[: len(sent) - max(1, (len(answer.body) + 1) // 2)]
        self.wfile.write(sent)
        self._cut(reset=fault is Fault.RESET_AFTER_BODY)

    def _send(self, answer: Answer) -> None:
        self.wfile.write(self._bytes(answer))

    def _bytes(self, answer: Answer) -> bytes:
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"Date": date, **answer.headers, "Content-Length": str(len(answer.body))}
        lines = [f"HTTP/1.1 {answer.status} Status", *(f"{name}: {value}" for name, value in headers.items())]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        return head if self.command == "HEAD" else head + answer.body

    def _cut(self, *, reset: bool = False) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.connection.close() if reset else self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _first_page(request: Request) -> Request:
    """The same list from its beginning, whatever page was asked for."""
    kept = [part for part in request.query.split("&") if not part.startswith("continuation-token=")]
    return replace(request, query="&".join(kept))


@contextlib.contextmanager
def a_fake_s3(*, page: int = 1000, silence: float = 2.0, locks: bool = False) -> Iterator[FakeS3]:
    fake = FakeS3(page=page, silence=silence, locks=locks)
    try:
        yield fake
    finally:
        fake.close()
