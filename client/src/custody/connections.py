"""From the address of a service to a connection: plain, TLS, or TLS through a proxy."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPSConnection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from custody.errors import MisuseError

_PORTS = {"http": 80, "https": 443}
_CONNECT_WITHIN = 5.0
_LOOPBACK = ("localhost", "::1")


class Address(NamedTuple):
    """Where a service is: scheme, host, port and the path everything lies under."""

    scheme: str
    host: str
    port: int
    prefix: str

    @property
    def shown(self) -> str:
        """The address as one writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.prefix}"

    @property
    def exposed(self) -> bool:
        """Whether a token sent there crosses a network in the clear."""
        local = self.host in _LOOPBACK or self.host.startswith("127.")
        return self.scheme == "http" and not local


def parse_address(url: str) -> Address:
    """Read the address of a service.

    Raises:
        MisuseError: It is no http or https address, or carries a name, query or fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MisuseError(f"the address of the service is malformed: {url[:200]}") from error
    if parts.scheme not in _PORTS or not parts.hostname or not _clean(url):
        raise MisuseError(
            f"the address of the service is malformed: {url[:200]}",
            hint="it looks like https://custody.example.com",
        )
    if _surplus(parts):
        # Not shown: what stands before an @ is a password.
        raise MisuseError("the address of the service holds more than host, port and path")
    return Address(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path.rstrip("/"))


def _clean(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def _surplus(parts: SplitResult) -> bool:
    return "@" in parts.netloc or bool(parts.query) or bool(parts.fragment)


def open_connection(address: Address, *, timeout: float) -> HTTPConnection:
    """Return a connection to `address`; `timeout` holds for each of its reads and writes.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured by the TLS library itself;
    `HTTPS_PROXY` and `NO_PROXY` lead an https address through a CONNECT tunnel,
    which never sees the token. A plain http address is always reached directly.

    Raises:
        OSError: Nobody accepts the connection.
    """
    connection = _prepare(address, min(timeout, _CONNECT_WITHIN))
    connection.connect()
    connection.sock.settimeout(timeout)
    return connection


def _prepare(address: Address, timeout: float) -> HTTPConnection:
    if address.scheme == "http":
        return HTTPConnection(address.host, address.port, timeout=timeout)
    import ssl

    context = ssl.create_default_context()
    proxy = _proxy(address)
    if proxy is None:
        return HTTPSConnection(address.host, address.port, timeout=timeout, context=context)
    connection = HTTPSConnection(proxy.address.host, proxy.address.port, timeout=timeout, context=context)
    connection.set_tunnel(address.host, address.port, headers=proxy.headers)
    return connection


class Proxy(NamedTuple):
    """Where the tunnel begins, and what the proxy is told about who asks for it."""

    address: Address
    headers: dict[str, str]


def _proxy(address: Address) -> Proxy | None:
    from urllib.request import getproxies_environment, proxy_bypass

    found = getproxies_environment().get("https")
    if not found or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return parse_proxy(found if "://" in found else f"http://{found}")


def parse_proxy(url: str) -> Proxy:
    """Read the address of a proxy, which may hold a name and password, quoted as in any URL.

    Raises:
        MisuseError: It is no http address.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "http":
        raise MisuseError("the proxy is no http address", hint="HTTPS_PROXY looks like http://proxy:3128")
    who, at, where = rest.rpartition("@")
    address = parse_address(f"http://{where}")
    if not at:
        return Proxy(address, {})
    from base64 import b64encode
    from urllib.parse import unquote_to_bytes

    return Proxy(address, {"Proxy-Authorization": f"Basic {b64encode(unquote_to_bytes(who)).decode()}"})
