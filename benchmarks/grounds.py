"""What the sides of a benchmark stand on: one database server and one store, and a part of both for each side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from artifacts.storage.s3 import Access
from benchmarks.places import file_system
from benchmarks.rounds import Scale
from benchmarks.servers import Service, api_alone, peer_alone
from benchmarks.stores import an_s3_server, settings_for
from tests.postgres import Cluster, a_cluster

_DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


@contextmanager
def a_postgresql() -> Iterator[Cluster]:
    """Start a PostgreSQL server that keeps what it has acknowledged, as it is set where it is installed.

    Raises:
        RuntimeError: It would lose something.
    """
    with a_cluster(shared_buffers="256MB", autovacuum="on", max_wal_size="2GB") as cluster:
        for name in _DURABLE:
            if cluster.execute(f"SHOW {name}") != [("on",)]:
                raise RuntimeError(f"{name} is not on")
        yield cluster


@dataclass(frozen=True, slots=True)
class Ground:
    """A database and a store on one file system, the same for all sides; each side names its own part."""

    top: Path
    cluster: Cluster | None = None
    store: str = "a directory"
    access: Access | None = None

    @property
    def name(self) -> str:
        """Which they are."""
        return f"{'SQLite' if self.cluster is None else 'PostgreSQL'} and {self.store}"

    @property
    def place(self) -> str:
        """The file system of both."""
        return file_system(self.top)

    def settings(self, side: str) -> dict[str, str]:
        """The variables of a service of ours, with an empty database of its own."""
        found = {} if self.access is None else settings_for(self.access, self._prefix(side))
        if self.cluster is not None:
            found["CUSTODY_DATABASE_URL"] = self.cluster.url(self.cluster.empty())
        return found

    def variables(self, side: str) -> dict[str, str]:
        """The same of a peer."""
        found = {}
        if self.cluster is not None:
            url = self.cluster.url(self.cluster.empty())
            found["PEER_DATABASE"] = url.replace("+asyncpg", "+psycopg")
        if self.access is not None:
            found |= {
                "PEER_S3_BUCKET": self.access.bucket,
                "PEER_S3_PREFIX": self._prefix(side),
                "PEER_S3_ENDPOINT": self.access.endpoint or "",
                "PEER_S3_ACCESS_KEY": self.access.access_key or "",
                "PEER_S3_SECRET_KEY": self.access.secret_key or "",
            }
        return found

    @contextmanager
    def ours(self) -> Iterator[Service]:
        """Serve by the api process alone."""
        with api_alone(self.top / "ours", **self.settings("ours")) as service:
            yield service

    @contextmanager
    def peer(self, module: str) -> Iterator[Service]:
        """Serve a peer."""
        with peer_alone(self.top / module, module, **self.variables(module)) as service:
            yield service

    def _prefix(self, side: str) -> str:
        return f"{self.top.name}/{side}"


@contextmanager
def all_grounds(disk: Path, memory: Path, scale: Scale) -> Iterator[list[Ground]]:
    """SQLite and PostgreSQL, each over a directory and over S3, on a disk; and one of them in memory."""
    with ExitStack() as started:
        cluster = started.enter_context(a_postgresql())
        store, access = started.enter_context(an_s3_server(disk / "s3", real=scale.real))
        found = [
            Ground(disk / "sqlite-directory"),
            Ground(disk / "postgresql-directory", cluster),
            Ground(disk / "sqlite-s3", None, store, access),
            Ground(disk / "postgresql-s3", cluster, store, access),
        ]
        if file_system(disk) != file_system(memory):
            found.insert(1, Ground(memory / "sqlite-directory"))
        for each in found:
            each.top.mkdir()
        yield found
