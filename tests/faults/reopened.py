"""The parts behind a service over a folder that exists, without its HTTP and its processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from artifacts.collecting import Collector, Terms
from artifacts.content import HASH, Content
from artifacts.db import Database, connect
from artifacts.labour import Labourer
from artifacts.queries.queue import Job
from artifacts.recording import Recorder
from artifacts.removal import REMOVE, Removals
from artifacts.retention import Retention
from artifacts.sealing import SIGN, Sealer
from artifacts.storage.directory import DirectoryStore
from artifacts.trees.checking import Checker
from artifacts.trees.taking import CHECK, Trees
from artifacts.upkeep import Upkeep
from artifacts.uploads import JOIN, Joiner, Uploads
from provenance.attest import Attester
from provenance.signers.local import LocalSigner

PUBLIC_URL: Final = "http://custody.test"


@dataclass
class Still:
    """A clock that stands where every test begins, until it is moved."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 10, 0, tzinfo=UTC))

    def now(self) -> datetime:
        return self.moment


@dataclass
class Reopened:
    """What the processes of a service are made of."""

    folder: Path
    database: Database
    store: DirectoryStore
    clock: Still

    @property
    def content(self) -> Content:
        return Content(self.database, self.store, self.clock)

    @property
    def recorder(self) -> Recorder:
        return Recorder(self.database, self.store, self.clock)

    @property
    def uploads(self) -> Uploads:
        return Uploads(self.database, self.store, self.clock)

    @property
    def trees(self) -> Trees:
        return Trees(self.database, self.store, self.clock)

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.database, self.store, self.clock)

    @property
    def upkeep(self) -> Upkeep:
        return Upkeep(self.database, self.store, self.clock)

    @property
    def attester(self) -> Attester:
        signer = LocalSigner.open(self.folder / "keys" / "local.pem")
        return Attester(self.database, self.store, self.clock, signer=signer, public_url=PUBLIC_URL)

    def collector(self, rules: str) -> Collector:
        """What decides by `rules` what goes."""
        removals = Removals(self.database, self.store, self.clock)
        return Collector(self.database, self.clock, removals, Terms(Retention.parse(rules)))

    async def work(self, kind: str) -> None:
        """Let the signer or the worker take what is on its queue."""
        labourer = Labourer(self.database, self.clock, kind, "test", _WORK[kind](self), _raise)
        while await labourer.round():
            pass


_WORK: Mapping[str, Callable[[Reopened], Callable[[Job], Awaitable[None]]]] = {
    SIGN: lambda service: service.attester.attest,
    HASH: lambda service: service.upkeep.read_back,
    JOIN: lambda service: Joiner(service.database, service.store, service.clock).join,
    CHECK: lambda service: Checker(service.database, service.store, service.clock).check,
    REMOVE: lambda service: Removals(service.database, service.store, service.clock).remove,
}


def _raise(_: Job, error: Exception) -> None:
    raise error


@asynccontextmanager
async def reopened(folder: Path) -> AsyncIterator[Reopened]:
    """The service over a folder that exists already, as after a crash.

    Its store has one thread: system calls are counted for each thread, and so come in one row.
    """
    path = folder / "data" / "index" / "custody.db"
    database = connect(f"sqlite+aiosqlite:///{path}")
    store = DirectoryStore(folder / "data" / "objects", threads=1)
    try:
        yield Reopened(folder, database, store, Still())
    finally:
        await database.close()
        store.close()
