"""The metrics of a signer or a worker, which answer no HTTP otherwise: off unless an address is set.

It knows two paths, reads nothing but the first lines of a request, and asks nobody for a token:
what it shows are counts. Bind it to loopback, or to a network that is closed to others.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from api.metrics import CONTENT_TYPE, Metrics
from artifacts.errors import InvalidInputError

_MOST: Final = 8192
_SECONDS: Final = 5.0


@asynccontextmanager
async def shown(metrics: Metrics, address: str | None) -> AsyncIterator[None]:
    """Show `metrics` at `address`, a host and a port, while the block runs; nowhere without one.

    Raises:
        InvalidInputError: nobody can listen there.
    """
    if address is None:
        yield
        return
    host, _, port = address.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
            writer.write(_answered(asked, metrics))
            await asyncio.wait_for(writer.drain(), _SECONDS)
        writer.close()

    try:
        server = await asyncio.start_server(answer, host.strip("[]"), int(port), limit=_MOST)
    except OSError as error:
        raise InvalidInputError(
            f"cannot listen on {address}: {error.strerror}", hint="choose another CUSTODY_METRICS_LISTEN"
        ) from error
    try:
        yield
    finally:
        server.close()


def _answered(asked: bytes, metrics: Metrics) -> bytes:
    method, _, rest = asked.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in {b"GET", b"HEAD"}:
        return _response("405 Method Not Allowed", b"", method)
    if path == b"/metrics":
        return _response("200 OK", metrics.text(), method)
    # That this answers at all shows that the loop of the process turns.
    return _response(*(("200 OK", b"ok\n") if path == b"/healthz" else ("404 Not Found", b"")), method)


def _response(status: str, body: bytes, method: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if method == b"HEAD" else body)
