"""Starting the services that are measured, each as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.settings import Settings

_PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers."""

    url: str
    token: str
    pid: int

    @property
    def peak(self) -> str:
        """The most memory its first process ever had resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return f"{int(line.split()[1]) / 1024:.0f} MiB"


@contextmanager
def api_alone(data: Path, **settings: str) -> Iterator[Service]:
    """Serve from `data` by the api process alone."""
    prepared(data, **settings)
    with _custody("api", data, **settings) as service:
        yield service


@contextmanager
def all_three(data: Path, **settings: str) -> Iterator[Service]:
    """Serve from `data` by api, signer and worker."""
    with _custody("serve", data, **settings) as service:
        yield service


@contextmanager
def _custody(process: str, data: Path, **settings: str) -> Iterator[Service]:
    port = _free_port()
    command = [sys.executable, "-m", "api.commands", process]
    command += ["--data", str(data), "--listen", f"127.0.0.1:{port}"]
    with _started(command, port, "/healthz", **settings) as started:
        token = (data / "token").read_text().strip()
        yield Service(f"http://127.0.0.1:{port}", token, started.pid)


@contextmanager
def peer_alone(data: Path, module: str = "orm_service", **variables: str) -> Iterator[Service]:
    """Serve the peer of `module` from `data`, by the same server with as many processes: one."""
    port, token = _free_port(), "token-of-the-peer"
    command = [sys.executable, "-m", "uvicorn", f"benchmarks.peers.{module}:create_app", "--factory"]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    variables = {**variables, "PEER_DATA": str(data), "PEER_TOKEN": token}
    with _started(command, port, "/openapi.json", **variables) as process:
        yield Service(f"http://127.0.0.1:{port}", token, process.pid)


def prepared(data: Path, **settings: str) -> Settings:
    """Make schema, project and token, unless they are there; return the settings of `data`."""
    from api.preparing import prepare
    from api.settings import Settings

    given = {name.removeprefix("CUSTODY_").lower(): value for name, value in settings.items()}
    made = Settings.model_validate({"data": data, **given})
    asyncio.run(prepare(made))
    return made


@contextmanager
def _started(
    command: Sequence[str], port: int, path: str, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    process = subprocess.Popen(
        command, env={**kept, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(process, f"http://127.0.0.1:{port}{path}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - the address is our own
        except OSError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{url} does not answer") from error
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
