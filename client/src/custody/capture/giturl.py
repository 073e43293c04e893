"""The address of a git repository as it may stand in a statement: no credentials, SPDX form."""

import re
from urllib.parse import quote, urlsplit

_SCHEMES = frozenset(("https", "http", "ssh", "git"))
_SCP_FORM = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s]{2,}):(?P<path>[^\s]+)")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]+)?")


def canonical(url: str, ref: str | None = None) -> str | None:
    """Return `url` as `git+<scheme>://host/path[@ref]`.

    User names and passwords are cut out (but the `git@` of ssh, which is none), and
    so are query and fragment, where tokens hide as well. A path of this machine,
    a transport helper and whatever is no URL give None: they mean nothing elsewhere.
    """
    split = _split(url)
    if split is None:
        return None
    scheme, user, host, path = split
    if scheme not in _SCHEMES or not _HOST.fullmatch(host):
        return None
    kept = "git@" if scheme == "ssh" and user == "git" else ""
    address = f"git+{scheme}://{kept}{host.lower()}/{quote(path.lstrip('/'), safe='/%~+:,=!$()*;&@')}"
    if ref is None:
        return address
    return f"{address}@{quote(ref.encode('utf-8', 'surrogateescape'), safe='/+:,=!$()*;&@')}"


def _split(url: str) -> tuple[str, str, str, str] | None:
    """Return scheme, user, host with port, and path."""
    if not url.isprintable() or " " in url:
        return None
    if "://" not in url:
        match = _SCP_FORM.fullmatch(url)
        if match is None or match["path"].startswith(":"):
            return None
        return "ssh", match["user"] or "", match["host"], match["path"]
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    userinfo, _, host = parts.netloc.rpartition("@")
    return parts.scheme.lower(), userinfo.partition(":")[0], host, parts.path
