"""The calls about trees, and ranges of blobs, of `docs/http.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPResponse

from custody.bodies import Content
from custody.errors import NothingFoundError, ServiceError
from custody.transport import Answer, Request, Transport
from custody.trees.layout import MAX_LAYOUT
from custody.trees.manifest import MAX_BYTES
from custody.wire import Document, document, encode, refusal

MISSING_BATCH = 50_000
"""Digests in one question for what is missing."""

_JSON = {"Content-Type": "application/json"}


class TreeService:
    """The trees of one project. Use one per thread: each has a connection."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def twin(self) -> TreeService:
        """Return the same service over a connection of its own."""
        return TreeService(self.transport.twin())

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Return those of at most 50,000 contents (hex sha256) that the project lacks."""
        found = document(self._post("/v1/trees/missing", {"digests": digests})).get("missing")
        return [str(digest) for digest in found] if isinstance(found, list) else []

    def put_manifest(self, sha256: str, packed: Content) -> None:
        """Send the manifest of a tree."""
        headers = {"Content-Type": "application/zstd"}
        answer = self.transport.ask(Request("PUT", f"/v1/trees/sha256:{sha256}/manifest", headers, packed))
        if not 200 <= answer.code < 300:
            raise refusal(answer)

    def propose(self, sha256: str, packs: Sequence[Document]) -> Document:
        """Say in which packs the contents of a tree lie; return its state."""
        return document(self._post(f"/v1/trees/sha256:{sha256}", {"packs": packs}))

    def state(self, sha256: str, *, wait: int = 0) -> Document:
        """Return what the service says of a tree.

        Raises:
            NothingFoundError: It knows no such tree.
        """
        path = f"/v1/trees/sha256:{sha256}" + (f"?wait={wait}" if wait else "")
        return document(_found(self.transport.ask(Request("GET", path))))

    def manifest(self, sha256: str) -> bytes:
        """Return what is said to be the packed manifest of a tree."""
        return self._bytes(f"/v1/trees/sha256:{sha256}/manifest", limit=MAX_BYTES)

    def layout(self, sha256: str) -> bytes:
        """Return what is said to be the packed layout of a tree."""
        return self._bytes(f"/v1/trees/sha256:{sha256}/layout", limit=MAX_LAYOUT)

    @contextmanager
    def blob(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[HTTPResponse]:
        """Yield a response with the bytes from `start` up to `end` of a blob or pack.

        Raises:
            NothingFoundError: The project does not have it.
            ServiceError: The service does not answer with that range.
        """
        last = "" if end is None else end - 1
        headers = {"Accept": "*/*", "Range": f"bytes={start}-{last}"}
        with self.transport.open(Request("GET", f"/v1/blobs/sha256:{sha256}", headers)) as response:
            whole = response.status == 200 and start == 0
            if whole or (response.status == 206 and _begins_at(response, start)):
                yield response
            else:
                _found(Answer(response.status, _lowered(response), response.read(64 * 1024)))
                raise ServiceError("the service answered with another range than was asked for")

    def _bytes(self, path: str, *, limit: int) -> bytes:
        request = Request("GET", path, {"Accept": "application/zstd, */*"})
        return _found(self.transport.ask(request, limit=limit)).body

    def _post(self, path: str, body: Document) -> Answer:
        return self.transport.ask(Request("POST", path, _JSON, encode(body)))


def _begins_at(response: HTTPResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _lowered(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _found(answer: Answer) -> Answer:
    if 200 <= answer.code < 300:
        return answer
    error = refusal(answer)
    if answer.code in (404, 410):
        raise NothingFoundError(error.message, hint=error.hint)
    raise error
