"""The client repeats a few wire types; the service's OpenAPI document holds it to them."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from custody.bodies import Content
from custody.service import Service
from custody.transport import Transport

OPENAPI: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs" / "openapi.json").read_text()
)  # Any: JSON
RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "wire" / "0.1.0.json").read_text()
)  # Any: JSON
"""What the oldest service answered that this client works with (docs/operating.md)."""
STEP = "01M80PE9MA0EKXDCQG5EMRXJ63"
DIGEST = "sha256:" + "ab" * 32
REFERENCE = {
    "name": "n",
    "uri": "pkg:pypi/x@1",
    "digest": {"sha256": "ab" * 32},
    "mediaType": "a/b",
    "annotations": {},
}


class _Noting(BaseHTTPRequestHandler):
    """Answers everything with an empty object and keeps what was asked."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked: list[tuple[str, str, bytes]] = self.server.asked  # type: ignore[attr-defined]  # set by the fixture
        asked.append((self.command, self.path, body))
        answer = b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815  # http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:  # the base class names it so
        """Say nothing."""


@pytest.fixture
def asked() -> Iterator[tuple[Service, list[tuple[str, str, bytes]]]]:
    """A client's service over a server that notes, and its notes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Noting)
    notes: list[tuple[str, str, bytes]] = []
    server.asked = notes  # type: ignore[attr-defined]  # read by the server's class above
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with Service(Transport(f"http://127.0.0.1:{server.server_port}", "token")) as service:
        yield service, notes
    server.shutdown()
    server.server_close()
    thread.join()


def operation(method: str, path: str, document: dict[str, Any]) -> tuple[dict[str, Any], str]:  # Any: JSON
    """The operation of the document that answers, and its template."""
    plain = unquote(urlsplit(path).path)
    for template, operations in document["paths"].items():
        pattern = re.sub(r"\{(\w+)\}", lambda m: ".+" if m.group(1) == "name" else "[^/]+", template)
        if re.fullmatch(pattern, plain) and method.lower() in operations:
            return operations[method.lower()], template
    raise AssertionError(f"the service has no {method} {plain}")


def members(schema: dict[str, Any], document: dict[str, Any]) -> tuple[set[str], set[str]]:  # Any: JSON
    """All members of an object schema, and the required ones."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(schema["properties"]), set(schema.get("required", ()))


def check(method: str, path: str, body: bytes, document: dict[str, Any] = OPENAPI) -> None:
    """The service knows the path, its query, and every member of the body."""
    found, template = operation(method, path, document)
    known = {one["name"] for one in found.get("parameters", ()) if one["in"] == "query"}
    assert {name for name, _ in parse_qsl(urlsplit(path).query)} <= known, template
    if "requestBody" in found:
        every, required = members(found["requestBody"]["content"]["application/json"]["schema"], document)
        sent = set(json.loads(body))
        assert required <= sent <= every, (template, sent - every, required - sent)


def test_every_call_of_the_client_is_one_the_service_answers(
    asked: tuple[Service, list[tuple[str, str, bytes]]], tmp_path: Path
) -> None:
    service, notes = asked
    file = tmp_path / "f"
    file.write_bytes(b"x")
    service.run_named({"name": "nightly"})
    service.begin({"id": STEP, "name": "n", "token_sha256": "ab" * 32, "command": [], "parameters": {},
                   "environment": {}, "source": REFERENCE, "client": "custody/1", "ci": {"system": "x", "url": "y"},
                   "expires_in": 60, "run": STEP})  # fmt: skip
    service.step(STEP)
    service.add_inputs(STEP, [REFERENCE])
    service.add_outputs(STEP, [{**REFERENCE, "role": "byproduct"}])
    service.put_output(
        STEP, "dist/app.whl", Content(1, lambda: io.BytesIO(b"x")), "ab" * 32, role="byproduct", uri="pkg:x/y"
    )
    service.finish(
        STEP,
        {"outcome": "failed", "exit_status": 1, "parameters": {}, "began_at": "", "finished_at": ""},
        wait=3,
    )
    service.missing([DIGEST])
    service.upload(Content(1, lambda: io.BytesIO(b"x")), "ab" * 32)
    service.record(REFERENCE)
    service.resolve("pkg:pypi/x@1")
    service.digests_named("n")
    service.artifact(DIGEST)
    service.lineage(DIGEST, direction="down", depth=3)
    service.attestations(DIGEST)
    service.attestation(DIGEST)
    service.public_keys()
    with service.blob(DIGEST) as response:
        response.read()
    assert len(notes) == 18
    for method, path, body in notes:
        for document in (OPENAPI, RECORDED):
            check(method, path, body, document)


def test_a_member_that_the_service_does_not_know_is_caught() -> None:
    with pytest.raises(AssertionError):
        check("POST", "/v1/runs", b'{"nmae": "x"}')
    with pytest.raises(AssertionError):
        check("POST", "/v1/nothing", b"{}")
