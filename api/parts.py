"""The parts of a running api, built once and passed to the application."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.clock import Clock
from artifacts.content import Content
from artifacts.db import Database
from artifacts.reads import Reads
from artifacts.recording import Recorder
from artifacts.sealing import Sealer
from artifacts.storage.protocol import ObjectStore


@dataclass(frozen=True, slots=True)
class Parts:
    """What routes work with. There is no signer among them, and no way to one."""

    public_url: str
    hosts: frozenset[str]
    database: Database
    store: ObjectStore
    clock: Clock
    recorder: Recorder
    sealer: Sealer
    content: Content
    reads: Reads


def assemble(
    *, public_url: str, hosts: frozenset[str], database: Database, store: ObjectStore, clock: Clock
) -> Parts:
    """Put the parts of an api together over one index and one store."""
    return Parts(
        public_url=public_url,
        hosts=hosts,
        database=database,
        store=store,
        clock=clock,
        recorder=Recorder(database, store, clock),
        sealer=Sealer(database, store, clock),
        content=Content(database, store, clock),
        reads=Reads(database),
    )
