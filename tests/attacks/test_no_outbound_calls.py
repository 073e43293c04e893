"""Nothing that is recorded makes the service call anybody (threats S15)."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import httpx2
import pytest

from tests.attacks.actors import an_id, begin, finish
from tests.attacks.remains import remains
from tests.attacks.statements import statements
from tests.service import Service, reference, sha256

SPELLINGS = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://localhost/",
    "http://localhost.localdomain/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://[::]/",
    "http://169.254.169.254/latest/meta-data/iam/",
    "http://[fd00:ec2::254]/latest/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://100.100.100.200/latest/meta-data/",
    "http://instance-data/latest/",
    "http://192.0.2.1:22/",
    "http://198.51.100.7:6379/",
    "http://user:pass@127.0.0.1/",
    "http://evil.example#@127.0.0.1/",
    "http://127.0.0.1%23.evil.example/",
    "http://127.0.0.1%2f@evil.example/",
    "http://evil.example@localhost/",
    "https://127.0.0.1.nip.io/",
    "https://evil.example/redirect?to=http://127.0.0.1",
    "ftp://127.0.0.1/x",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stat",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "ldap://127.0.0.1/x",
    "jar:http://127.0.0.1!/x",
    "git://127.0.0.1/x.git",
    "git+ssh://-oProxyCommand=id/x",
    "ssh://-oProxyCommand=id/x",
    "ext::sh%20-c%20id",
    "oci://127.0.0.1:5000/x@sha256:00",
    "s3://bucket/key",
    "unix:/var/run/docker.sock",
    "data:text/html,x",
    "javascript:alert(1)",
]
_calls: list[tuple[str, object]] = []
_listening = [False]
_CALLING = {
    "socket.connect",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "urllib.Request",
    "ftplib.connect",
    "smtplib.connect",
}


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _listening[0] and event in _CALLING:
        _calls.append((event, repr(arguments)[:200]))


@contextmanager
def nobody_is_called() -> Iterator[None]:
    """Fail if anything in the block opens a connection, asks for a name or starts a program."""
    if not getattr(sys, "_custody_listens", False):
        sys.addaudithook(_note)  # for good: hooks cannot be taken away
        sys._custody_listens = True  # type: ignore[attr-defined]  # one hook however often this file is imported
    _calls.clear()
    _listening[0] = True
    try:
        yield
    finally:
        _listening[0] = False
    assert _calls == []


def test_the_guard_itself_notices_a_call() -> None:
    with pytest.raises(AssertionError):
        _call_somebody()


def _call_somebody() -> None:
    with nobody_is_called(), socket.socket() as caller:
        caller.settimeout(0.01)
        caller.connect_ex(("127.0.0.1", 9))


@pytest.mark.parametrize("uri", SPELLINGS)
async def test_a_uri_is_a_name_and_is_never_fetched(
    service: Service, client: httpx2.AsyncClient, uri: str
) -> None:
    digest = sha256(b"an upload")
    with nobody_is_called():
        step = await begin(client, source=reference(b"s", uri=uri), ci={"system": "x", "url": uri})
        for url, body in (
            ("/v1/artifacts", reference(b"a", uri=uri, name="a")),
            (f"{step.url}/inputs", {"inputs": [reference(b"i", uri=uri)]}),
            (f"{step.url}/outputs", {"outputs": [reference(b"o", uri=uri, name="o")]}),
            (
                "/v1/records",
                {
                    "id": an_id(),
                    "name": "x",
                    "outcome": "succeeded",
                    "outputs": [reference(b"r", uri=uri, name="r")],
                },
            ),
        ):
            answer = await client.post(url, json=body)
            assert answer.status_code in {200, 201}, answer.text
        put = await client.put(f"{step.url}/outputs/u?uri={quote(uri, safe='')}", content=b"an upload")
        assert put.status_code == 201
        await finish(client, step)
        await service.read_back()
        assert await service.sign() == 2
        for url in (
            f"/v1/artifacts?uri={quote(uri, safe='')}",
            f"/v1/artifacts/sha256:{digest}",
            f"/v1/artifacts/sha256:{digest}/lineage",
            f"/v1/blobs/sha256:{digest}",
            step.url,
            "/metrics",
        ):
            assert (await client.get(url)).status_code == 200
        await service.upkeep.tidy()
    assert any(uri in str(statement) for statement in statements(service.folder / "data"))
    assert len(remains(service.folder / "data").rows["attestation"]) == 2
