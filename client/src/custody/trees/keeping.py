"""Directories to trees, as the commands and the Python API ask for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from custody.capture.errors import CaptureError
from custody.capture.ignore import Ignore
from custody.capture.scan import Leaving
from custody.capture.statcache import StatCache, cache_file, wanted
from custody.errors import MisuseError
from custody.progress import bar
from custody.terminal import warn
from custody.transport import Transport
from custody.trees.capture import Captured, Exactly, capture
from custody.trees.files import MAX_REMEMBERED
from custody.trees.remote import TreeService
from custody.trees.upload import Sent, Upload

RETAINED = 96 << 20
"""Bytes of small contents that are kept in memory between capturing and sending."""


def captured(
    path: str,
    environ: Mapping[str, str],
    *,
    ignore: bool = False,
    allow_secrets: bool = False,
    retain: int = 0,
) -> Captured:
    """Capture a directory, with the digests that this machine remembers.

    Args:
        path: The directory.
        environ: Says where the digests are remembered, and whether.
        ignore: Leave out what `.custodyignore` and the defaults of `custody run` leave out.
        allow_secrets: Take secrets and version control folders too.
        retain: Bytes of small contents to keep for `send`, so that they are read and hashed once.

    Raises:
        ContentError: It cannot be captured, or holds what looks like secrets.
        MisuseError: `.custodyignore` cannot be read.
    """
    exactly = Exactly(allow_secrets=allow_secrets)
    leaving = _ignoring(path, allow_secrets=allow_secrets) if ignore else exactly
    found = captured_by(leaving, path, environ, retain=retain)
    exactly.require_none()
    return found


def captured_by(leaving: Leaving, path: str, environ: Mapping[str, str], *, retain: int = 0) -> Captured:
    """Capture a directory but for what `leaving` leaves out; the rest is as for `captured`.

    Raises:
        ContentError: It cannot be captured.
    """
    cache = StatCache.load(_small(cache_file(path, environ, namespace="tree")) if wanted(environ) else None)
    found = capture(path, leaving=leaving, cache=cache, retain=retain)
    cache.save(found.identities)
    if found.dropped:
        warn(
            f"{len(found.dropped)} files lose their setuid or setgid bit in the tree",
            hint=f"the first is {found.dropped[0]}",
        )
    return replace(found, identities=())


def send(transport: Transport, found: Captured) -> Sent:
    """Send a captured directory and return once the service has verified it.

    Raises:
        ContentError: A file changed meanwhile.
        ServiceError: The service did not take it.
    """
    with bar("uploading") as advance:
        return Upload(TreeService(transport), found, advance).send()


def _ignoring(path: str, *, allow_secrets: bool) -> Ignore:
    try:
        return Ignore.load(path, allow_secrets=allow_secrets)
    except CaptureError as error:
        raise MisuseError(str(error), hint=error.hint or None) from error


def _small(path: str | None) -> str | None:
    """Return the cache file unless it is one of a very large tree, which would fill the memory."""
    try:
        if path is not None and os.stat(path).st_size > MAX_REMEMBERED * 90:
            return None
    except OSError:
        pass
    return path
