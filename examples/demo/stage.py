"""What the demonstration stands on: a terminal that shows and checks, and the service in a process."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

STORE = ("CUSTODY_STORE_URL", "CUSTODY_S3_", "CUSTODY_DATABASE_")
READY_WITHIN = 60.0
STOPPED_WITHIN = 15.0


class UnexpectedError(Exception):
    """A command of the demonstration did not do what the demonstration says it does."""


def expect(condition: bool, complaint: str) -> None:
    """Stop the demonstration unless `condition` holds; it is a test too."""
    if not condition:
        raise UnexpectedError(complaint)


def say(text: str = "") -> None:
    """Print a line now, so that it stands before the output of what runs next."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def scene(title: str) -> None:
    """Begin a part of the story."""
    say(f"\n--- {title}")


@dataclass(frozen=True, slots=True)
class Terminal:
    """Runs commands as a reader would type them, in `place`, with `variables` added to a bare environment."""

    place: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def given(self, variables: Mapping[str, str]) -> "Terminal":
        """Return the same terminal after `export`."""
        return Terminal(self.place, {**self.variables, **variables})

    def at(self, place: Path) -> "Terminal":
        """Return the same terminal after `cd`."""
        return Terminal(place, self.variables)

    def run(self, *command: str, status: int = 0) -> str:
        """Show and run `command`, show and return its standard output; it must exit with `status`."""
        return self._shown(shlex.join(command), command, status)

    def shell(self, line: str) -> str:
        """Show and run a line as a shell reads it; it must succeed."""
        return self._shown(line, ("sh", "-c", line), 0)

    def _shown(self, line: str, command: tuple[str, ...], status: int) -> str:
        say(f"$ {line}")
        done = subprocess.run(
            command, cwd=self.place, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False
        )
        if done.stdout:
            say(done.stdout.rstrip("\n"))
        expect(
            done.returncode == status,
            f"{command[0]} exited with {done.returncode} where {status} was expected",
        )
        return done.stdout

    def ask(self, *command: str) -> str:
        """Run `command` without showing it; it must succeed."""
        done = subprocess.run(
            command, cwd=self.place, env=self.environment(), stdout=subprocess.PIPE, text=True, check=False
        )
        expect(done.returncode == 0, f"{shlex.join(command)} exited with {done.returncode}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Give our own environment without what would point to another service, with `variables` added."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
        return {**ours, **self.variables}


def free_port() -> int:
    """Ask the system for a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def store() -> str:
    """Name the object store that the environment of the demonstration chooses."""
    url = os.environ.get("CUSTODY_STORE_URL", "")
    return f"the object store {url}" if url else "a directory"


def index() -> str:
    """Name the database that the environment of the demonstration chooses."""
    return "PostgreSQL" if os.environ.get("CUSTODY_DATABASE_URL", "").startswith("postgres") else "SQLite"


@contextmanager
def service(terminal: Terminal, kept_in: Path) -> Iterator[dict[str, str]]:
    """Run the embedded service and give what `custody-server env` exports for it.

    CUSTODY_STORE_URL and CUSTODY_S3_* of whoever runs the demo choose its object store,
    CUSTODY_DATABASE_URL an empty database for the index in place of SQLite; the
    service alone sees them, no step does.
    """
    store = {name: value for name, value in os.environ.items() if name.startswith(STORE)}
    own = Terminal(terminal.place, {**terminal.variables, **store})
    port = free_port()
    command = ["custody-server", "serve", "--data", str(kept_in), "--listen", f"127.0.0.1:{port}"]
    say(f"$ {shlex.join(command)} &")
    log = kept_in.with_suffix(".log")
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=terminal.place, env=own.environment(), stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        waited = _until_ready(process, f"http://127.0.0.1:{port}/readyz", log)
        say(f"ready after {waited:.1f} s")
        yield _exported(own.ask("custody-server", "env", "--data", str(kept_in)))
    except BaseException:
        _ended(process)  # its status would only hide what went wrong
        raise
    expect(_ended(process) == 0, f"the service stopped with {process.returncode}")


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> float:
    began = time.monotonic()
    while time.monotonic() - began < READY_WITHIN:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - a loopback address made above
                return time.monotonic() - began
        except OSError:
            time.sleep(0.05)
    raise UnexpectedError(f"the service did not become ready; it said:\n{log.read_text(errors='replace')}")


def _exported(script: str) -> dict[str, str]:
    """Read what `eval` would set: lines of `export NAME=value`, quoted for a shell."""
    words = shlex.split(script, comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """Ask the service to stop as a terminal would, and insist if it does not; return its status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
