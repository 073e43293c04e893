"""Where the node store lies and how large it may grow."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from custody.errors import MisuseError
from custody.nodestore.sizes import parse_size

DEFAULT_SIZE = 10 << 30
_OFF = ("off", "none", "0")


def location(environ: Mapping[str, str]) -> str | None:
    """Return the directory of the node store, or None where there is none.

    `CUSTODY_NODE_STORE` names it (`off` for none); by default it lies in the user's
    cache directory.

    Raises:
        MisuseError: The variable holds a relative path.
    """
    given = environ.get("CUSTODY_NODE_STORE", "")
    if given:
        if given.lower() in _OFF:
            return None
        if not given.startswith("/"):
            raise MisuseError("CUSTODY_NODE_STORE is no absolute path", hint="or off, for none")
        return given.rstrip("/") or None
    base = environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home.rstrip('/')}/.cache"
    return f"{base.rstrip('/')}/custody/node"


def allowed_size(environ: Mapping[str, str]) -> int:
    """Return how many bytes the store may hold, from `CUSTODY_NODE_STORE_SIZE`.

    Raises:
        MisuseError: It is no size.
    """
    given = environ.get("CUSTODY_NODE_STORE_SIZE", "")
    return parse_size(given) if given else DEFAULT_SIZE


def make_own(path: str) -> bool:
    """Make the directory if it is missing; return whether it is ours alone to write."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not stat.S_IMODE(found.st_mode) & 0o022
    )
