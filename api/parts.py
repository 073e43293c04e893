"""The parts of a running api, built once and passed to the application."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.quotas import Allowed, Quotas
from api.rates import Rates
from artifacts.clock import Clock
from artifacts.content import Content
from artifacts.db import Database
from artifacts.naming import GRACE_SECONDS, Naming
from artifacts.reads import Reads
from artifacts.recording import Recorder
from artifacts.seal import Seal
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
    quotas: Quotas
    rates: Rates
    naming: Naming


@dataclass(frozen=True, slots=True)
class Fences:
    """What one project or token may take from the others; nothing is limited by default."""

    bytes: Allowed = field(default_factory=Allowed)
    rate: float | None = None
    burst: int = 100


def assemble(  # noqa: PLR0913  # one argument a part, all by keyword
    *,
    public_url: str,
    hosts: frozenset[str],
    database: Database,
    store: ObjectStore,
    clock: Clock,
    fences: Fences | None = None,
    seal: Seal | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Parts:
    """Put the parts of an api together over one index and one store."""
    fences = fences or Fences()
    quotas = Quotas(database, clock, fences.bytes)
    content = Content(database, store, clock, quotas)
    return Parts(
        public_url=public_url,
        hosts=hosts,
        database=database,
        store=store,
        clock=clock,
        recorder=Recorder(database, store, clock, content, seal),
        sealer=Sealer(database, store, clock, seal),
        content=content,
        reads=Reads(database),
        quotas=quotas,
        rates=Rates(clock, rate=fences.rate, burst=fences.burst),
        naming=Naming(database, clock, grace_seconds=grace_seconds),
    )
