"""One api, one signer and one worker over PostgreSQL, each a process of its own that can be killed and started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from api.preparing import prepare
from api.settings import Settings
from tests.postgres import Cluster
from tests.running_service import PROCESSES, ROOT, Running

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Fleet(Running):
    """As `Running`, without a supervisor: whoever kills a process starts it again."""

    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Start all three; returns at once."""
        for name in PROCESSES:
            self.start_one(name)

    def start_one(self, name: str) -> None:
        """Start one of them."""
        command = [sys.executable, "-m", "api.commands", name, "--data", str(self.folder)]
        if name != "worker":
            command += ["--listen", f"127.0.0.1:{self.port}"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUSTODY_", "COV"))}
        with (self.folder.parent / "serve.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**kept, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start_if_gone(self) -> None:
        """Start again what ended by itself."""
        for name in [name for name, child in self.children.items() if child.poll() is not None]:
            self.start_one(name)

    def pids(self) -> dict[str, int]:
        """Those that live."""
        return {name: child.pid for name, child in self.children.items() if child.poll() is None}

    def kill(self, name: str) -> None:
        """`kill -9`, and start it again."""
        self.children[name].kill()
        self.children[name].wait()
        self.start_one(name)

    def memory(self) -> dict[str, int]:
        """Resident bytes of each."""
        found = {}
        for name, pid in self.pids().items():
            with contextlib.suppress(OSError):
                found[name] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
        return found

    def stop(self) -> None:
        """Stop all of them for good."""
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextlib.contextmanager
def a_fleet(folder: Path, cluster: Cluster) -> Iterator[Fleet]:
    """A fleet over a database of its own, ready to be asked."""
    url = cluster.url(cluster.empty())
    settings = {"CUSTODY_DATABASE_URL": url, "CUSTODY_LOG_LEVEL": "error"}
    fleet = Fleet(folder / "data", settings=settings)
    # Where those look who come behind the service's back: tests/attacks/remains.py.
    (fleet.folder / "index").mkdir(parents=True)
    (fleet.folder / "index" / "url").write_text(url)
    asyncio.run(prepare(Settings(data=fleet.folder, database_url=url)))
    fleet.start()
    try:
        fleet.wait_ready(120)
        yield fleet
    finally:
        fleet.stop()
