"""Bytes straight from the object store, where the service refers to it.

A reference is a URL that is good for one blob for some minutes. Whoever it leads to is
told nothing but the range that is wanted, never the token, and what comes back is hashed
like everything else. A store that cannot be reached from here, refuses, answers anything
but the range, breaks off or sends wrong bytes costs one attempt: from then on the service
gives the bytes itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from threading import Lock
from typing import NamedTuple
from urllib.parse import urlsplit

from custody.connections import parse_address
from custody.errors import ClientError, UnreachableError
from custody.transport import Patience, Request, Transport
from custody.trees.remote import TreeService

_REDIRECTS = (302, 303, 307, 308)
_GOOD_FOR = 120.0
"""Seconds for which a URL is used; it is good for five minutes, and a long answer may have begun before."""

_PATIENCE = Patience(attempts=2, total=20.0)


class Reference(NamedTuple):
    """Where a blob lies: below an address, at a path with what makes it good."""

    address: str
    path: str
    until: float


class References:
    """What the service said of where blobs lie; shared by threads, so that one asks for all."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.known: dict[str, Reference] = {}
        self.wanted = True
        """Whether it is still worth asking: a service without a public store never refers to one."""


class Direct:
    """One thread's way to blobs, by the store or else by the service."""

    def __init__(self, service: TreeService, references: References) -> None:
        self._service = service
        self._references = references
        self._stores: dict[str, Transport] = {}
        self.referred = 0
        """How many answers came from a store, so that who meets wrong bytes knows whose they may be."""

    def doubt(self) -> None:
        """Ask no store any more."""
        self._references.wanted = False

    def close(self) -> None:
        """Drop the connections."""
        self._service.transport.close()
        for store in self._stores.values():
            store.close()

    @contextmanager
    def blob(self, sha256: str, *, start: int = 0, end: int | None = None) -> Iterator[HTTPResponse]:
        """Yield a response with the bytes from `start` up to `end` of a blob or pack.

        Whoever raises while reading an answer of the store is given the service's the next time.

        Raises:
            NothingFoundError: The project does not have it.
            ServiceError: Neither the store nor the service answers with that range.
        """
        wanted = {"Accept": "*/*", "Range": f"bytes={start}-{'' if end is None else end - 1}"}
        with ExitStack() as opened:
            response = self._from_store(opened, sha256, wanted)
            if response is None or not _is_range(response, start):
                self.doubt()
                opened.close()
                yield opened.enter_context(self._service.blob(sha256, start=start, end=end))
                return
            self.referred += 1
            try:
                yield response
            except Exception:
                self.doubt()
                raise

    def _from_store(self, opened: ExitStack, sha256: str, wanted: dict[str, str]) -> HTTPResponse | None:
        reference = self._reference(sha256)
        if reference is None:
            return None
        try:
            store = self._at(reference.address)
            return opened.enter_context(store.open(Request("GET", reference.path, wanted)))
        except (UnreachableError, ValueError):  # ValueError: a host name that no resolver takes
            return None

    def _reference(self, sha256: str) -> Reference | None:
        references = self._references
        with references.lock:
            if not references.wanted:
                return None
            known = references.known.get(sha256)
            if known is None or time.monotonic() > known.until:
                known = self._asked(sha256)
                if known is None:  # and never the other way: another thread may doubt the store meanwhile
                    references.wanted = False
                else:
                    references.known[sha256] = known
            return known

    def _asked(self, sha256: str) -> Reference | None:
        """Ask where a blob lies; a byte of it is the answer of a service that refers to nobody."""
        request = Request("GET", f"/v1/blobs/sha256:{sha256}?redirect=1", {"Range": "bytes=0-0"})
        with self._service.transport.open(request) as response:
            with suppress(OSError, HTTPException):  # nothing of the body is needed
                response.read(64 * 1024)
            location = response.getheader("Location") if response.status in _REDIRECTS else None
        try:
            return None if location is None else self._read(location)
        except (ClientError, ValueError):  # no address at all
            return None

    def _read(self, location: str) -> Reference | None:
        parts = urlsplit(location)
        if self._service.transport.address.scheme == "https" and parts.scheme != "https":
            return None
        address = parse_address(f"{parts.scheme}://{parts.netloc}").shown
        path = f"{parts.path or '/'}?{parts.query}"
        if not (path.isascii() and path.isprintable() and " " not in path):
            return None
        return Reference(address, path, time.monotonic() + _GOOD_FOR)

    def _at(self, address: str) -> Transport:
        if address not in self._stores:
            self._stores[address] = Transport(address, None, patience=_PATIENCE)
        return self._stores[address]


def _is_range(response: HTTPResponse, start: int) -> bool:
    """Whether these are the bytes from `start`; a 200 may be the login page of some network."""
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
