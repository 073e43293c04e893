"""Living below a path: `https://host/custody` as the public URL, whatever a proxy makes of it.

A proxy may strip the path before it asks us or leave it, and both are answered alike: inside,
the path is always whole and `root_path` says how much of it leads to us (ASGI, "Connection
Scope"). The path is the operator's setting; no header can change it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

_ROOT: Final[ContextVar[str]] = ContextVar("root", default="")


class Prefix:
    """The path of the public URL, without a slash at its end; empty where there is none."""

    def __init__(self, public_url: str) -> None:
        self.path = urlsplit(public_url).path.rstrip("/")

    def applied(self, scope: Scope) -> Scope:
        """The scope of a request with its path made whole."""
        _ROOT.set(self.path)
        if not self.path:
            return scope
        path = str(scope["path"])
        if path != self.path and not path.startswith(f"{self.path}/"):
            raw = scope.get("raw_path") or path.encode()
            scope = {**scope, "path": self.path + path, "raw_path": self.path.encode() + raw}
        return {**scope, "root_path": self.path}


def below(path: str) -> str:
    """Where `path`, which begins with a slash, is reached from outside by whoever asks now."""
    return _ROOT.get() + path
