"""The real service, started once, and the real command to talk to it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

READY_WITHIN = 60.0
BESIDE = Path(sys.executable).parent


@dataclass(frozen=True)
class Command:
    """Runs `custody` in a directory with the settings of a service."""

    place: Path
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self, **changed: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("CUSTODY_") and name not in ("CI", "NO_COLOR")
        }
        path = f"{BESIDE}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": str(self.place.parent / "home"), **self.settings, **changed}

    def __call__(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BESIDE / "custody"), *arguments],
            cwd=self.place,
            env=self.environment(**changed),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def begun(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BESIDE / "custody"), *arguments],
            cwd=self.place,
            env=self.environment(**changed),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the settings that `custody-server env` prints for a running service."""
    place = tmp_path_factory.mktemp("service")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = str(BESIDE / "custody-server")
    with (place / "log").open("wb") as log:
        started = subprocess.Popen(
            [server, "serve", "--data", str(place / "data"), "--listen", f"127.0.0.1:{port}"],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(started, f"http://127.0.0.1:{port}/readyz", place / "log")
        printed = subprocess.run(
            [server, "env", "--data", str(place / "data")], capture_output=True, text=True, check=True
        ).stdout
        yield _exported(printed)
    finally:
        started.terminate()
        started.wait(timeout=30)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty working directory."""
    found = tmp_path / "place"
    found.mkdir()
    (tmp_path / "home").mkdir()
    return found


@pytest.fixture
def command(service: dict[str, str], place: Path) -> Command:
    """The command, with the settings of the running service."""
    return Command(place, service)


@pytest.fixture
def custody(command: Command) -> Command:
    """The same, by the name that reads best where the package is not imported."""
    return command


@pytest.fixture
def offline(place: Path) -> Command:
    """The command, without any settings."""
    return Command(place)


def _wait_until_ready(started: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and started.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - a loopback address made above
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))


def _exported(script: str) -> dict[str, str]:
    words = shlex.split(script, comments=True)
    return dict(word.rstrip(";").split("=", 1) for word in words if word.startswith("CUSTODY_"))
