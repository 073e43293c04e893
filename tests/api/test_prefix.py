"""A service below a path: every address it gives out works, whether a proxy strips the path or not."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from pydantic import ValidationError

from api.settings import Settings
from tests.running_service import Running, free_port

PREFIX = "/custody"
_HOP = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def proxy(port: int, target: int, *, strips: bool) -> Iterator[None]:
    """A reverse proxy for everything below the prefix; anything else is 404 and never reaches us."""

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if not self.path.startswith(PREFIX + "/"):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = self.path.removeprefix(PREFIX) if strips else self.path
            upstream = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
            upstream.request(self.command, path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {*_HOP, "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            upstream.close()

        do_GET = do_POST = do_PUT = _pass  # noqa: N815  # the names that the base class calls

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Passing)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@dataclass
class Proxied:
    """A service as it is seen from outside."""

    url: str
    running: Running

    def ask(self, method: str, address: str, body: object = None) -> tuple[int, dict[str, str], Any]:
        """Ask for an address as an answer gave it: relative ones are resolved as a browser would."""
        parts = urlsplit(urljoin(self.url + "/", address))
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=60)
        headers = {"Authorization": f"Bearer {self.running.token}"}
        sent = None if body is None else json.dumps(body)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, sent, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kind = answer.headers.get("content-type", "")
        found = json.loads(content) if "json" in kind else content.decode(errors="replace")
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, found


@pytest.fixture(scope="module", params=[True, False], ids=["stripped", "whole"])
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    outside = free_port()
    url = f"http://127.0.0.1:{outside}{PREFIX}"
    running = Running(tmp_path_factory.mktemp("prefixed") / "service", settings={"CUSTODY_PUBLIC_URL": url})
    running.start()
    try:
        running.wait_ready()
        with proxy(outside, running.port, strips=request.param):
            yield Proxied(url, running)
    finally:
        running.stop()


pytestmark = pytest.mark.slow


def test_the_whole_job_works_through_the_proxy_and_every_address_leads_somewhere(
    proxied: Proxied, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    settings = {
        "CUSTODY_URL": proxied.url,
        "CUSTODY_TOKEN": proxied.running.token,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "custody", "run", "--json", "--", "sh", "-c", f"echo {tmp_path} > out"]
    done = subprocess.run(
        command, cwd=place, env={**kept, **settings}, capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == 0, done.stderr
    step = json.loads(done.stdout.splitlines()[-1])
    assert step["state"] == "signed", done.stderr
    (attestation,) = step["attestations"]
    assert attestation["url"].startswith(f"{PREFIX}/v1/attestations/")
    code, _, bundle = proxied.ask("GET", attestation["url"])
    assert code == 200
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    details, definition = statement["predicate"]["runDetails"], statement["predicate"]["buildDefinition"]
    for address in (details["builder"]["id"], definition["buildType"], attestation["builder_id"]):
        assert address.startswith(proxied.url + "/")
        code, headers, page = proxied.ask("GET", address)
        assert (code, headers["content-type"].partition(";")[0]) == (200, "text/html")
        assert "<h1>" in page
    digest = step["outputs"][0]["digest"]
    for address in (f"{proxied.url}/v1/artifacts/{digest}", f"{proxied.url}/v1/artifacts/{digest}/lineage"):
        found = proxied.ask("GET", address)[2]
        assert "attestations/sha256:" in json.dumps(found)
        assert '"/v1/' not in json.dumps(found)


def test_problems_point_below_the_prefix_and_their_page_is_there(proxied: Proxied) -> None:
    code, _, problem = proxied.ask("GET", f"{proxied.url}/v1/artifacts/sha256:{'0' * 64}")
    assert code == 404
    assert problem["type"] == f"{proxied.url}/problems#not-found"
    assert 'id="not-found"' in proxied.ask("GET", problem["type"])[2]
    assert proxied.ask("GET", f"{proxied.url}/v1/nothing/here")[2]["type"].startswith(proxied.url)


def test_the_next_page_is_where_the_link_says(proxied: Proxied) -> None:
    for number in range(3):
        reference = {"uri": "https://example.com/many", "digest": {"sha256": f"{number:064x}"}}
        assert proxied.ask("POST", f"{proxied.url}/v1/artifacts", reference)[0] in {200, 201}
    address: str | None = f"{proxied.url}/v1/artifacts?uri=https://example.com/many&limit=1"
    seen = []
    while address is not None:
        code, headers, found = proxied.ask("GET", address)
        assert code == 200
        seen += [one["digest"] for one in found["artifacts"]]
        link = headers.get("link")
        address = None if link is None else link.partition(">")[0].removeprefix("<")
        assert address is None or address.startswith(f"{PREFIX}/v1/artifacts?")
    assert len(seen) == len(set(seen)) == 3


def test_health_keys_and_the_contract_are_there_too(proxied: Proxied) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/predicates/record/v1"):
        assert proxied.ask("GET", proxied.url + path)[0] == 200
    keys = proxied.ask("GET", f"{proxied.url}/.well-known/custody/keys.json")[2]
    assert keys["public_url"] == proxied.url
    assert all(key["builder_id"].startswith(proxied.url) for key in keys["keys"])
    document = proxied.ask("GET", f"{proxied.url}/openapi.json")[2]
    assert document["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("path", ["/v1", "/problems/x", "/a//b", "/a%2Fb", "/ä"])
def test_a_public_url_below_which_paths_would_be_ambiguous_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Settings(public_url=f"https://example.com{path}")


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com/", "https://e.com/a/b-c.d/"])
def test_other_public_urls_are_taken_without_their_last_slash(url: str) -> None:
    assert Settings(public_url=url).url == url.rstrip("/")
