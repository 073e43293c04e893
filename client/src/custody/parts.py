"""A large file sent in parts: what broke off goes on where it stopped, and not from the beginning.

1. Announce the digest and size; the service says which parts it wants.
2. Send each part, by itself and with a digest of its own; a part that fails is tried again.
3. Where a part could not be sent at all, ask what has arrived and go on from there, as long
   as each such round brings something.
4. Complete, and wait until the service has joined and hashed the whole.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass

from custody.bodies import Content
from custody.errors import ContentError, RefusedError, ServiceError, UnreachableError
from custody.transport import Request, Transport
from custody.wire import Document, document, encode, text

PART = 16 << 20
"""What is larger than this goes up in parts; the service says how large a part is."""

PATIENCE = 3600.0
"""Seconds to wait for the service to read a large file again."""

_WAIT = 20
_MAX_PART = 64 << 20
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class InParts:
    """One content on its way, over one connection."""

    transport: Transport
    content: Content
    sha256: str

    def send(self) -> None:
        """Send the content and return once the service has stored it.

        Raises:
            ContentError: It is no longer what was announced.
            RefusedError: The service refuses it.
            ServiceError: The service does not answer, or answers with nonsense.
        """
        announced = {"size": self.content.size, "digest": f"sha256:{self.sha256}"}
        page = self._post("/v1/blobs/uploads?resumable=1", announced)
        path = f"/v1/blobs/uploads/{text(page, 'upload')}"
        self._send_all(path, page)
        self._settle(path, self._post(f"{path}/complete?wait={_WAIT}", {}))

    def _send_all(self, path: str, page: Document) -> None:
        """Send what has not arrived, from where the last attempt stopped."""
        missing = self._missing(page)
        while missing:
            try:
                for number in missing:
                    self._send(path, number, _length(page))
            except UnreachableError:
                page = self._get(path)
                left = self._missing(page)
                if len(left) >= len(missing):
                    raise
                missing = left
            else:
                missing = []

    def _missing(self, page: Document) -> list[int]:
        received = page.get("received")
        arrived = set(received) if isinstance(received, list) else set()
        count = max(1, -(-self.content.size // _length(page)))
        return [number for number in range(1, count + 1) if number not in arrived]

    def _send(self, path: str, number: int, length: int) -> None:
        start = (number - 1) * length
        part = _read(self.content, start, min(length, self.content.size - start))
        digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
        headers = {"Content-Type": "application/octet-stream", "Content-Digest": f"sha-256=:{digest}:"}
        document(self.transport.ask(Request("PUT", f"{path}/parts/{number}", headers, part)))

    def _settle(self, path: str, page: Document) -> None:
        deadline = time.monotonic() + PATIENCE
        while text(page, "state") == "checking":
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"the service is still reading sha256:{self.sha256}", hint="try again later"
                )
            page = self._get(f"{path}?wait={_WAIT}")
        if text(page, "state") == "refused":
            reason = text(page, "reason") or "other bytes arrived"
            raise RefusedError(422, reason, slug="digest-mismatch")
        if text(page, "state") != "present":
            raise ServiceError(f"the service did not keep sha256:{self.sha256}", hint="try again")

    def _get(self, path: str) -> Document:
        return document(self.transport.ask(Request("GET", path)))

    def _post(self, path: str, body: Document) -> Document:
        return document(self.transport.ask(Request("POST", path, _JSON, encode(body))))


def _length(page: Document) -> int:
    """Return how long the service wants parts to be.

    Raises:
        ServiceError: It names no length that one could hold in memory.
    """
    length = page.get("part_size")
    if not isinstance(length, int) or not 0 < length <= _MAX_PART:
        raise ServiceError("the service names no length for the parts of an upload")
    return length


def _read(content: Content, start: int, size: int) -> bytes:
    """Return `size` bytes of `content`.

    Raises:
        ContentError: It is another file by now, or shorter.
    """
    pieces: list[bytes] = []
    with content.open() as stream:
        stream.seek(start)
        while size and (piece := stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
    if size:
        raise ContentError("the file changed after it was hashed")
    return b"".join(pieces)
