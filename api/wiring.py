"""Building the parts from the settings; the only place that chooses implementations."""

from __future__ import annotations

from api.parts import Parts, assemble
from api.settings import Settings
from artifacts.clock import SystemClock
from artifacts.db import Database, connect
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore


def open_database(settings: Settings) -> Database:
    """The index."""
    return connect(settings.index_url)


def open_store(settings: Settings) -> ObjectStore:
    """The object store."""
    return DirectoryStore(settings.objects)


def build(settings: Settings) -> Parts:
    """The parts of an api process."""
    return assemble(
        public_url=settings.url,
        hosts=settings.hosts,
        database=open_database(settings),
        store=open_store(settings),
        clock=SystemClock(),
    )
