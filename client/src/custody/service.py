"""The calls of `docs/http.md` that the client makes, one method each."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

from custody.bodies import Content
from custody.errors import NothingFoundError, RefusedError
from custody.parts import PART, InParts
from custody.transport import Answer, Request, Transport
from custody.wire import Document, document, encode, listed, refusal, text

BATCH = 1000
"""References or digests in one request."""

_T = TypeVar("_T")
_JSON = {"Content-Type": "application/json"}


class Service:
    """One project of one service, as whoever holds the token sees it."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    @property
    def shown(self) -> str:
        """The address, as one writes it."""
        return self.transport.address.shown

    def twin(self) -> Service:
        """Return the same over a connection of its own."""
        return Service(self.transport.twin())

    def run_named(self, name_or_id: Mapping[str, str]) -> str:
        """Begin or find a run and return its id."""
        return text(self._post("/v1/runs", name_or_id), "id")

    def begin(self, step: Mapping[str, object]) -> Document:
        """Begin a step. Safe to repeat: the id and token are the caller's."""
        return self._post("/v1/steps", step)

    def step(self, step_id: str) -> Document:
        """Return a step's page."""
        return self._get(f"/v1/steps/{_quoted(step_id)}")

    def add_inputs(self, step_id: str, inputs: Sequence[Mapping[str, object]]) -> None:
        """Record what a step consumed."""
        for batch in _batches(inputs):
            self._post(f"/v1/steps/{_quoted(step_id)}/inputs", {"inputs": batch})

    def add_outputs(self, step_id: str, outputs: Sequence[Mapping[str, object]]) -> None:
        """Record what a step produced, by reference."""
        for batch in _batches(outputs):
            self._post(f"/v1/steps/{_quoted(step_id)}/outputs", {"outputs": batch})

    def put_output(self, step_id: str, name: str, content: Content, sha256: str, **query: str) -> str:
        """Upload what a step produced, in parts if it is large; return the digest that the service stored.

        Args:
            step_id: The open step.
            name: Its name there; may contain `/`.
            content: The bytes.
            sha256: Their digest in hex; other bytes are refused.
            query: `role` and `uri`, as the service takes them.
        """
        if content.size > PART:
            InParts(self.transport, content, sha256).send()
            reference = {**query, "name": name, "digest": {"sha256": sha256}}
            self._post(f"/v1/steps/{_quoted(step_id)}/outputs", {"outputs": [reference]})
            return f"sha256:{sha256}"
        path = f"/v1/steps/{_quoted(step_id)}/outputs/{quote(name, safe='/')}"
        if query:
            path = f"{path}?{urlencode(query)}"
        answer = self._upload("PUT", path, content, sha256)
        digest = answer.get("digest")
        return f"sha256:{text(digest, 'sha256')}" if isinstance(digest, dict) else ""

    def finish(self, step_id: str, ending: Mapping[str, object], *, wait: int) -> Document:
        """Finish a step and wait up to `wait` seconds for its signature."""
        return self._post(f"/v1/steps/{_quoted(step_id)}/finish?wait={wait}", ending)

    def record_whole(self, step: Mapping[str, object]) -> Document:
        """Record a finished step in one request. Safe to repeat: the id is the caller's."""
        return self._post("/v1/records", step)

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return those of `digests` whose bytes this project has not proven."""
        found: set[str] = set()
        for batch in _batches(digests):
            answer = self._post("/v1/blobs/missing", {"digests": batch}).get("missing")
            found.update(str(digest) for digest in answer or ())
        return found

    def put(self, content: Content, sha256: str) -> str:
        """Keep bytes outside any step, in parts if they are many; return the digest that the service stored."""
        if content.size <= PART:
            return self.upload(content, sha256)
        InParts(self.transport, content, sha256).send()
        return f"sha256:{sha256}"

    def upload(self, content: Content, sha256: str) -> str:
        """Keep bytes outside any step, sent as one stream; return the digest that the service stored."""
        return text(self._upload("POST", "/v1/blobs/uploads", content, sha256), "digest")

    def record(self, reference: Mapping[str, object]) -> Document:
        """Record a reference outside any step."""
        return self._post("/v1/artifacts", reference)

    def resolve(self, uri: str) -> list[str]:
        """Return the digests that were recorded for `uri`, each once, the newest first."""
        return self._digests({"uri": uri})

    def digests_named(self, name: str) -> list[str]:
        """Return the digests that were recorded under `name`, each once, the newest first."""
        return self._digests({"name": name})

    def _digests(self, query: Mapping[str, str]) -> list[str]:
        found = listed(self._get(f"/v1/artifacts?{urlencode({**query, 'limit': BATCH})}"), "artifacts")
        found.sort(key=lambda artifact: text(artifact, "recorded_at"), reverse=True)
        return list(dict.fromkeys(text(artifact, "digest") for artifact in found))

    def artifact(self, digest: str) -> Document:
        """Return what is recorded about `digest`."""
        return self._get(f"/v1/artifacts/{_quoted(digest)}")

    def lineage(self, digest: str, *, direction: str, depth: int) -> Document:
        """Return the steps behind `digest` (`up`) or after it (`down`)."""
        query = urlencode({"direction": direction, "depth": depth})
        return self._get(f"/v1/artifacts/{_quoted(digest)}/lineage?{query}")

    def attestations(self, digest: str) -> list[Document]:
        """Return what attestations there are about `digest`."""
        return listed(self._get(f"/v1/artifacts/{_quoted(digest)}/attestations"), "attestations")

    def attestation(self, digest: str) -> bytes:
        """Return a bundle exactly as it was signed."""
        answer = self.transport.ask(Request("GET", f"/v1/attestations/{_quoted(digest)}"))
        return _found(answer).body

    def log_checkpoint(self) -> bytes:
        """Return the newest checkpoint of the log, a signed note."""
        return _found(self.transport.ask(Request("GET", "/v1/log/checkpoint"))).body

    def log_tile(self, path: str) -> bytes:
        """Return a tile of the log by its name."""
        return _found(self.transport.ask(Request("GET", f"/v1/log/tile/{path}"))).body

    def log_proof(self, digest: str) -> bytes:
        """Return the proof that a bundle is logged, as text."""
        return _found(self.transport.ask(Request("GET", f"/v1/log/proof/{_quoted(digest)}?format=text"))).body

    def public_keys(self) -> list[Document]:
        """Return the public keys the service claims; trust none that is not pinned."""
        return listed(self._get("/.well-known/custody/keys.json"), "keys")

    @contextmanager
    def blob(self, digest: str) -> Iterator[HTTPResponse]:
        """Yield the response whose body is said to be the bytes of `digest`."""
        request = Request("GET", f"/v1/blobs/{_quoted(digest)}", {"Accept": "*/*"})
        with self.transport.open(request) as response:
            if response.status != 200:
                body = response.read(64 * 1024)
                headers = {name.lower(): value for name, value in response.getheaders()}
                _found(Answer(response.status, headers, body))
            yield response

    def _get(self, path: str) -> Document:
        return document(_found(self.transport.ask(Request("GET", path))))

    def _post(self, path: str, body: Mapping[str, object]) -> Document:
        return document(self.transport.ask(Request("POST", path, _JSON, encode(body))))

    def _upload(self, method: str, path: str, content: Content, sha256: str) -> Document:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
        }
        return document(self.transport.ask(Request(method, path, headers, content)))


def _found(answer: Answer) -> Answer:
    if 200 <= answer.code < 300:
        return answer
    error: RefusedError = refusal(answer)
    if answer.code in (404, 410):
        raise NothingFoundError(error.message, hint=error.hint)
    raise error


def _quoted(segment: str) -> str:
    return quote(segment, safe=":")


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
