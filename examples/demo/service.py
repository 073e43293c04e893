"""The service of the demonstration: three processes that are started, stopped and started again at one address."""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples.demo.stage import Terminal, UnexpectedError, expect, say

CHOSEN = ("CUSTODY_STORE_URL", "CUSTODY_S3_", "CUSTODY_DATABASE_")
READY_WITHIN = 60.0
STOPPED_WITHIN = 15.0


def chosen() -> dict[str, str]:
    """What whoever runs the demonstration chose: where objects and index are kept.

    A bucket may hold another service already, or an earlier demonstration, whose key is gone:
    this one keeps to a prefix of its own.
    """
    settings = {name: value for name, value in os.environ.items() if name.startswith(CHOSEN) and value}
    if settings.get("CUSTODY_STORE_URL", "").startswith("s3:"):
        own = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
        settings["CUSTODY_STORE_URL"] = f"{settings['CUSTODY_STORE_URL'].rstrip('/')}/{own}"
    return settings


def free_port() -> int:
    """Ask the system for a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Service:
    """`custody-server serve` over one data folder; only it sees `settings`, no step does."""

    terminal: Terminal
    data: Path
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it, before the index was lost and after."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def own(self) -> Terminal:
        """A terminal of the operator, who has the settings."""
        return self.terminal.given(self.settings)

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.data.with_suffix(".log")

    @property
    def index(self) -> str:
        """Name the database."""
        chosen_url = self.settings.get("CUSTODY_DATABASE_URL", "")
        return "PostgreSQL" if chosen_url.startswith("postgres") else "SQLite"

    @property
    def store(self) -> str:
        """Name the object store."""
        url = self.settings.get("CUSTODY_STORE_URL")
        return f"the object store {url}" if url else "a directory"

    def start(self) -> dict[str, str]:
        """Start it, wait until it is ready, and give what `custody-server env` exports."""
        command = ["custody-server", "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        say(f"$ {shlex.join(command)} &")
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                command,
                cwd=self.terminal.place,
                env=self.own.environment(),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        say(f"ready after {self._until_ready():.1f} s")
        return _exported(self.own.ask("custody-server", "env", "--data", str(self.data)))

    def stop(self) -> int:
        """Ask it to stop as a terminal would, and insist if it does not; return its status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _until_ready(self) -> float:
        began = time.monotonic()
        while time.monotonic() - began < READY_WITHIN and self.process and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=1):  # noqa: S310 - our own port
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.05)
        said = self.log.read_text(errors="replace")
        raise UnexpectedError(f"the service did not become ready; it said:\n{said}")


@contextmanager
def stopping(service: Service) -> Iterator[Service]:
    """Stop `service` at the end, however that comes; what went wrong before counts more than its status."""
    try:
        yield service
    except BaseException:
        service.stop()
        raise
    expect(service.stop() == 0, "the service did not stop as it should")


def _exported(script: str) -> dict[str, str]:
    """Read what `eval` would set: lines of `export NAME=value`, quoted for a shell."""
    words = shlex.split(script, comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)
