"""Calling the `custody` command as a user does, apart from what this user has configured."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from benchmarks.servers import Service
from benchmarks.startup import command


def environment(service: Service, home: Path) -> dict[str, str]:
    """Variables under which `custody` knows `service` and keeps what it keeps below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "GIT_CONFIG_NOSYSTEM": "1"}
    return {**kept, **own, "CUSTODY_URL": service.url, "CUSTODY_TOKEN": service.token}


def put(path: Path, env: Mapping[str, str]) -> str:
    """Put a file or a directory; return its digest."""
    done = subprocess.run([command(), "put", str(path)], env=env, check=True, capture_output=True, text=True)
    return done.stdout.split()[0]
