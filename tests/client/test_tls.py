"""TLS is checked, also through a proxy, which never sees the token."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from custody.errors import UnreachableError
from custody.transport import Patience, Request, Transport

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
TOKEN = "cst_for-one-host-only"
GET = Request("GET", "/v1/x")


def certificate(folder: Path) -> Path:
    """Make a key and a certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    written = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(written + built.public_bytes(serialization.Encoding.PEM))
    return path


class Speaker:
    """Accepts connections, one after the other, and remembers what was said."""

    def __init__(self, context: ssl.SSLContext | None = None, forward: int | None = None) -> None:
        self.heard: list[bytes] = []
        self._context, self._forward = context, forward
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            with near, suppress(OSError):
                near.settimeout(10)
                self._relay(near) if self._forward else self._answer(near)

    def _answer(self, near: socket.socket) -> None:
        assert self._context is not None
        with self._context.wrap_socket(near, server_side=True) as end:
            self.heard.append(end.recv(65536))
            end.sendall(ANSWER)

    def _relay(self, near: socket.socket) -> None:
        self.heard.append(near.recv(65536))
        near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._forward or 0)) as far:
            back = threading.Thread(target=self._pump, args=(far, near))
            back.start()
            self._pump(near, far)
            back.join(timeout=10)

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65536):
                self.heard.append(chunk)
                other.sendall(chunk)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return certificate(tmp_path)


@pytest.fixture
def secure(certified: Path) -> Iterator[Speaker]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified)
    found = Speaker(context)
    yield found
    found.close()


def asked(port: int, host: str = "127.0.0.1") -> int:
    transport = Transport(f"https://{host}:{port}", TOKEN, patience=Patience(attempts=3, first_pause=0.001))
    try:
        return transport.ask(GET).code
    finally:
        transport.close()


def test_a_certificate_nobody_trusts_is_refused_at_once(secure: Speaker) -> None:
    with pytest.raises(UnreachableError, match="certificate nobody here trusts") as caught:
        asked(secure.port)
    assert caught.value.hint is not None
    assert "SSL_CERT_FILE" in caught.value.hint
    assert secure.heard == []


def test_the_authority_in_ssl_cert_file_is_trusted(
    secure: Speaker, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified))
    assert asked(secure.port) == 200
    assert TOKEN.encode() in secure.heard[0]


def test_another_name_than_the_certificate_has_is_refused(
    secure: Speaker, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified))
    with pytest.raises(UnreachableError, match="certificate"):
        asked(secure.port, "localhost")


def test_a_proxy_passes_the_tunnel_on_and_never_sees_the_token(
    secure: Speaker, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Speaker(forward=secure.port)
    monkeypatch.setenv("SSL_CERT_FILE", str(certified))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    try:
        assert asked(secure.port) == 200
    finally:
        proxy.close()
    assert proxy.heard[0].startswith(f"CONNECT 127.0.0.1:{secure.port} ".encode())
    assert TOKEN.encode() not in b"".join(proxy.heard)
    assert TOKEN.encode() in secure.heard[0]


def test_no_proxy_is_honoured(secure: Speaker, certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Speaker(forward=secure.port)
    monkeypatch.setenv("SSL_CERT_FILE", str(certified))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        assert asked(secure.port) == 200
    finally:
        proxy.close()
    assert proxy.heard == []
