"""From the command line to the service it means."""

from __future__ import annotations

import os
from argparse import Namespace

from custody.service import Service
from custody.settings import Settings, load
from custody.terminal import warn
from custody.transport import Patience, Transport


def settings(chosen: Namespace) -> Settings:
    """Return the settings that the flags of `chosen`, the environment and the file give."""
    return load(os.environ, url=getattr(chosen, "url", None), pin=getattr(chosen, "pin", None))


def service(found: Settings, *, patience: Patience | None = None) -> Service:
    """Return the configured service; nothing is connected yet.

    Raises:
        MisuseError: None is configured, or its address is malformed.
    """
    transport = Transport(found.address(), found.token, patience=patience)
    if transport.address.exposed and found.token:
        warn(
            f"the token crosses the network in the clear to {transport.address.shown}",
            hint="use https outside this machine",
        )
    return Service(transport)
