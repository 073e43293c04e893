"""The real service: `custody-server serve` and its three processes, over HTTP."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = ("api", "signer", "worker")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Running:
    """`serve` over `folder`; started, killed and started again by the test."""

    folder: Path
    port: int = field(default_factory=free_port)
    starts: int = 0
    serving: subprocess.Popen[bytes] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Start `serve`; returns at once."""
        command = [sys.executable, "-m", "api.commands", "serve", "--data", str(self.folder)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
        with (self.folder.parent / "serve.log").open("ab") as log:
            self.serving = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}"],
                cwd=ROOT,
                env={**environment, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def start_if_gone(self) -> None:
        """Start it again where it gave up or was killed, once its children have gone too."""
        if self.serving is None or self.serving.poll() is None:
            return
        self.start()

    def pids(self) -> dict[str, int]:
        """The children of `serve` that live, by name."""
        found: dict[str, int] = {}
        if self.serving is None:
            return found
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(entry) == self.serving.pid:
                words = _words(entry)
                name = next((word for word in words if word in PROCESSES), None)
                if name is not None:
                    found[name] = int(entry.name)
        return found

    def wait_ready(self, seconds: float = 60) -> None:
        """Return once the service says that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.ask("GET", "/readyz", token="")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError((self.folder.parent / "serve.log").read_text()[-3000:])

    @property
    def token(self) -> str:
        """The first token."""
        return (self.folder / "token").read_text().strip()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, object] | None = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """One request on a connection of its own; OSError where the answer does not come whole."""
        content = orjson.dumps(body) if isinstance(body, Mapping) else body
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=content, headers=sent)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop it for good."""
        if self.serving is None:
            return
        self.serving.send_signal(signal.SIGTERM)
        try:
            self.serving.wait(20)
        except subprocess.TimeoutExpired:
            for pid in self.pids().values():
                os.kill(pid, signal.SIGKILL)
            self.serving.kill()
            self.serving.wait(5)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def _words(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def parsed(content: bytes) -> Any:  # Any: JSON
    """A JSON answer."""
    return orjson.loads(content)
