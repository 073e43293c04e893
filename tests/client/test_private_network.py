"""The whole job through a proxy that asks for a password, to a service whose authority is private."""

from __future__ import annotations

import base64
import datetime
import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from custody.connections import parse_proxy
from custody.errors import MisuseError
from tests.client.conftest import Command
from tests.client.workbench import recorded

NOW = datetime.datetime.now(datetime.UTC)
AS_FILE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def certified(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    authority: bool,
) -> bytes:
    """Return a certificate as an organisation's own authority makes it."""
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(minutes=5))
        .not_valid_after(NOW + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    built = built if authority else built.add_extension(address, critical=False)
    return built.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Network:
    """Where the service and the proxy are, and what the proxy has heard."""

    url: str
    proxy: str
    authority: Path
    heard: list[bytes]
    tunnels: list[str]


class Tunnels:
    """A proxy that knows CONNECT, wants a password, and passes bytes on without looking."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.opened: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += near.recv(4096)
            wanted = base64.b64encode(b"jo:p@ss").decode()
            if f"proxy-authorization: basic {wanted}".lower().encode() not in asked.lower():
                near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            target = asked.split()[1].decode()
            self.opened.append(target)
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far)
                back.join(30)

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65536):
                self.heard.append(chunk)
                other.sendall(chunk)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


def https_in_front_of(target: str, certificate: Path) -> ThreadingHTTPServer:
    """Return a server that ends TLS and asks the real service."""
    port = urlsplit(target).port

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            upstream = http.client.HTTPConnection("127.0.0.1", port or 80, timeout=60)
            upstream.request(self.command, self.path, self.rfile.read(length), dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _pass  # noqa: N815  # the names that the base class calls

        def log_message(self, format: str, *args: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # a client that trusts nobody hangs up
                super().handle()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    # The handshake is made in the thread of its connection, and fails there.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def network(service: dict[str, str], tmp_path: Path) -> Iterator[Network]:
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certified("private authority", root, root, "private authority", authority=True))
    own = certified("service", leaf, root, "private authority", authority=False)
    (tmp_path / "service.pem").write_bytes(leaf.private_bytes(*AS_FILE) + own)
    server = https_in_front_of(service["CUSTODY_URL"], tmp_path / "service.pem")
    tunnels = Tunnels()
    url, proxy = f"https://127.0.0.1:{server.server_port}", f"http://jo:p%40ss@127.0.0.1:{tunnels.port}"
    try:
        yield Network(url, proxy, authority, tunnels.heard, tunnels.opened)
    finally:
        tunnels.close()
        server.shutdown()
        server.server_close()


def inside(
    custody: Command, network: Network, *, proxy: str = "", direct: str = "", trust: bool = True
) -> Command:
    """Return the command as it runs in such a network, whatever the variables of this machine say."""
    settings = {"CUSTODY_URL": network.url}
    for name, value in (("https_proxy", proxy), ("no_proxy", direct)):
        # An empty one in lower case would win over the other.
        settings |= {name: value, name.upper(): value}
    if trust:
        settings["SSL_CERT_FILE"] = str(network.authority)
    return Command(custody.place, {**custody.settings, **settings})


@pytest.mark.slow
def test_run_verify_get_and_trace_work_through_the_proxy_which_sees_no_token(
    custody: Command, network: Network, place: Path
) -> None:
    away = inside(custody, network, proxy=network.proxy)
    script = f"head -c 3000000 /dev/urandom > out; echo {network.url} > named"
    done = away("run", "--require", "--json", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    found = recorded(done)
    assert found["state"] == "signed"
    assert away("verify", "out").returncode == 0
    assert away("trace", "out").returncode == 0
    assert away("get", found["outputs"][0]["digest"], "again").returncode == 0
    assert set(network.tunnels) == {urlsplit(network.url).netloc}
    assert sum(map(len, network.heard)) > 3_000_000
    assert custody.settings["CUSTODY_TOKEN"].encode() not in b"".join(network.heard)


@pytest.mark.slow
def test_no_proxy_leads_straight_there(custody: Command, network: Network, place: Path) -> None:
    away = inside(custody, network, proxy=network.proxy, direct="example.com,127.0.0.1")
    (place / "x").write_text(network.url)
    assert away("put", "x").returncode == 0
    assert network.tunnels == []


@pytest.mark.slow
def test_without_the_authority_or_the_password_nothing_is_sent_and_the_reason_is_told(
    custody: Command, network: Network, place: Path
) -> None:
    (place / "x").write_text("x")
    untrusted = inside(custody, network, trust=False)("put", "x")
    assert untrusted.returncode == 4
    assert "certificate nobody here trusts" in untrusted.stderr
    assert "SSL_CERT_FILE" in untrusted.stderr
    wrong = network.proxy.replace("p%40ss", "other")
    refused = inside(custody, network, proxy=wrong)("put", "x")
    assert refused.returncode == 4
    assert "407" in refused.stderr
    assert "other" not in refused.stderr
    assert network.tunnels == []


@pytest.mark.slow
def test_a_step_kept_for_lack_of_a_proxy_is_delivered_through_it(
    custody: Command, network: Network, place: Path
) -> None:
    closed = inside(custody, network, proxy="http://127.0.0.1:1")
    step = recorded(closed("run", "--json", "--", "sh", "-c", f"echo {network.proxy} > out"))
    assert step["spooled"]
    flushed = inside(custody, network, proxy=network.proxy)("flush", "--json")
    assert flushed.returncode == 0, flushed.stderr
    assert [one["step"] for one in json.loads(flushed.stdout)["steps"]] == [step["id"]]


def test_a_proxy_may_have_a_name_and_password_and_must_be_http() -> None:
    found = parse_proxy("http://jo:p%40ss%C3%A4@proxy.example.com:3128/")
    assert (found.address.host, found.address.port) == ("proxy.example.com", 3128)
    told = found.headers["Proxy-Authorization"].removeprefix("Basic ")
    assert base64.b64decode(told).decode() == "jo:p@ssä"
    assert parse_proxy("http://proxy:3128").headers == {}
    for wrong in ("https://proxy:3128", "socks5://proxy", "http://jo:secret@"):
        with pytest.raises(MisuseError) as caught:
            parse_proxy(wrong)
        assert "secret" not in caught.value.message
