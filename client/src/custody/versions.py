"""Whether this client and a service were made for each other: one release apart at most.

Every answer of a service has `Custody-Version: 0.5.0; oldest-client=0.4.0`. Outside of that
window most things work and some may not, so it is a warning and never an error.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from custody import __version__
from custody.terminal import warn

_FORM = re.compile(r"(\d{1,4}\.\d{1,4}\.\d{1,4}); oldest-client=(\d{1,4}\.\d{1,4}\.\d{1,4})")


class Release(NamedTuple):
    """What counts of a version: its last number mends and changes nothing else."""

    major: int
    minor: int


def release_of(version: str) -> Release:
    """Return the release that a version such as `0.5.2` belongs to."""
    major, minor, _ = version.split(".")
    return Release(int(major), int(minor))


def outside(told: str | None, *, own: str = __version__) -> str | None:
    """Return what is wrong with a service that tells this of itself, or None."""
    found = _FORM.fullmatch(told or "")
    if found is None:  # older than this field, or no service of ours: the answers themselves will show
        return None
    service, oldest = found.groups()
    if release_of(own) < release_of(oldest):
        return f"the service is {service} and was made for clients from {oldest} on; this is custody {own}"
    if _is_long_before(release_of(service), release_of(own)):
        return f"the service is {service}, older than custody {own} was made for"
    return None


def _is_long_before(service: Release, own: Release) -> bool:
    """Whether more than one release lies between; the last one of another series is not known here."""
    if service.major == own.major:
        return own.minor - service.minor > 1
    return service.major < own.major and (own.minor > 0 or own.major - service.major > 1)


@cache
def heed(told: str | None) -> None:
    """Warn about a service outside the window: once for each thing that one says of itself."""
    message = outside(told)
    if message is not None:
        warn(message, "install the custody of the service's release, or one next to it")
