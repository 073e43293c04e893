"""A whole service inside a test: a real index, a real directory store, a clock that is set by hand."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from api.app import create_app
from api.parts import Parts, assemble
from api.preparing import migrate
from api.settings import Settings
from artifacts.clock import to_milliseconds
from artifacts.collecting import Collector, Terms
from artifacts.control import CONTROL
from artifacts.db import Database, connect
from artifacts.judging import Collected
from artifacts.labour import Labourer
from artifacts.queries import tokens
from artifacts.queries.queue import Job
from artifacts.queries.tokens import TokenRow
from artifacts.removal import REMOVE, Removals
from artifacts.retention import Retention
from artifacts.seal import Seal
from artifacts.sealing import SIGN
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore
from artifacts.trees.checking import Checker
from artifacts.trees.taking import CHECK
from artifacts.upkeep import Upkeep
from artifacts.uploads import JOIN, Joiner
from provenance.attest import Attester
from provenance.attest_control import ControlAttester
from provenance.log.appending import Appender
from provenance.signers import log_key
from provenance.signers.local import LocalSigner

PUBLIC_URL = "http://custody.test"
TOKENS = {"default": "cpt_default", "other": "cpt_other"}


@dataclass
class HandClock:
    """A clock that stands still until it is moved."""

    moment: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 10, 0, tzinfo=UTC))

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self.moment += timedelta(seconds=seconds)


@dataclass
class Service:
    """Everything of one service, driven by the test instead of by processes."""

    parts: Parts
    clock: HandClock
    store: ObjectStore
    signer: LocalSigner
    folder: Path
    failures: list[tuple[Job, Exception]] = field(default_factory=list)

    @property
    def database(self) -> Database:
        """The index."""
        return self.parts.database

    def client(
        self, token: str | None = TOKENS["default"], *, host: str = "custody.test"
    ) -> httpx2.AsyncClient:
        """A client of the api, in process."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(app=create_app(self.parts), raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)

    @property
    def attester(self) -> Attester:
        """The signer process's one ability."""
        return Attester(self.database, self.store, self.clock, signer=self.signer, public_url=PUBLIC_URL)

    async def sign(self) -> int:
        """Let the signer take what is on its queue."""
        return await self._labour(SIGN, self.attester.attest)

    async def sign_decisions(self) -> int:
        """Let the signer take the removals and holds that are on its queue."""
        attester = ControlAttester(self.database, self.store, self.clock, self.signer, PUBLIC_URL)
        return await self._labour(CONTROL, attester.attest)

    def appender(self, owner: str = "test") -> Appender:
        """A signer's log."""
        key = log_key.open_or_create(self.folder / "keys" / "log.pem", origin="custody.test")
        keys = frozenset({self.signer.public_key})
        return Appender(self.database, self.store, self.clock, key, keys, owner, self._refused)

    async def publish_log_key(self) -> None:
        """Write the public key of the log, as the signer does when it starts."""
        await self.appender().publish_key()

    def _refused(self, job: Job, error: Exception) -> None:
        self.failures.append((job, error))

    async def log(self) -> int:
        """Let the signer log what is on its queue."""
        appender, done = self.appender(), 0
        while count := await appender.round():
            done += count
        await appender.leave()
        return done

    async def read_back(self) -> int:
        """Let the worker take what is on its queue."""
        return await self._labour("hash", self.upkeep.read_back)

    async def check_trees(self) -> int:
        """Let the worker check the trees that are on its queue."""
        return await self._labour(CHECK, Checker(self.database, self.store, self.clock).check)

    async def join_uploads(self) -> int:
        """Let the worker join the uploads that are on its queue."""
        return await self._labour(JOIN, Joiner(self.database, self.store, self.clock).join)

    async def collect(self, rules: str = "", *, only: str | None = None, dry_run: bool = False) -> Collected:
        """Let the worker decide what goes, and remove it."""
        removals = Removals(self.database, self.store, self.clock)
        terms = Terms(Retention.parse(rules))
        found = await Collector(self.database, self.clock, removals, terms).collect(
            only=only, dry_run=dry_run
        )
        await self.remove()
        return found

    async def remove(self) -> int:
        """Let the worker remove what it was decided to."""
        return await self._labour(REMOVE, Removals(self.database, self.store, self.clock).remove)

    @property
    def seal(self) -> Seal:
        """What api and worker put on names."""
        return Seal.open_or_create(self.folder / "data" / "seal.key")

    @property
    def upkeep(self) -> Upkeep:
        """The worker's other duties."""
        return Upkeep(self.database, self.store, self.clock, self.seal)

    async def _labour(self, kind: str, work: Any) -> int:  # Any: a bound method of either
        note = lambda job, error: self.failures.append((job, error))  # noqa: E731  # two words, one use
        labourer = Labourer(self.database, self.clock, kind, "test", work, note)
        done = 0
        while count := await labourer.round():
            done += count
            if self.failures:
                raise self.failures[0][1]
        return done


@asynccontextmanager
async def a_service(
    folder: Path, *, kept_in: ObjectStore | None = None, index: str | None = None
) -> AsyncIterator[Service]:
    """Build a service with two projects in `folder`, and close it.

    `kept_in` is another store, `index` the URL of a migrated database.
    """
    settings = Settings(data=folder / "data", public_url=PUBLIC_URL, database_url=index)
    if index is None:
        await _migrated(settings)
    else:
        # Where those look who come behind the service's back: tests/attacks/remains.py.
        (settings.data / "index").mkdir(parents=True)
        (settings.data / "index" / "url").write_text(index)
    clock = HandClock()
    database = connect(settings.index_url)
    directory = DirectoryStore(settings.objects)
    store = kept_in or directory
    hosts = frozenset({"custody.test"})
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=hosts,
        database=database,
        store=store,
        clock=clock,
        seal=Seal.open_or_create(settings.seal_key),
    )
    now = to_milliseconds(clock.now())
    async with database.writing() as connection:
        for number, (project, secret) in enumerate(TOKENS.items()):
            await tokens.ensure_project(connection, project, at=now)
            row = TokenRow(f"01K{number:023d}", project, "test")
            await tokens.add_token(connection, row, digest=tokens.hashed(secret), at=now)
    signer = LocalSigner.open_or_create(folder / "keys" / "local.pem")
    try:
        yield Service(parts, clock, store, signer, folder)
    finally:
        await database.close()
        directory.close()


_TEMPLATE: list[bytes] = []


async def _migrated(settings: Settings) -> None:
    """Migrate once, then copy: the chain itself has tests of its own."""
    path = settings.data / "index" / "custody.db"
    if not _TEMPLATE:
        await migrate(settings)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        _TEMPLATE.append(path.read_bytes())
        return
    path.parent.mkdir(parents=True)
    path.write_bytes(_TEMPLATE[0])


def sha256(content: bytes) -> str:
    """The hex sha256 of `content`."""
    return hashlib.sha256(content).hexdigest()


def reference(content: bytes, **members: object) -> dict[str, object]:
    """A reference to `content` as requests carry it."""
    return {"digest": {"sha256": sha256(content)}, **members}
