"""The log: adding leaves to it and auditing it, beside the hashing that no log can go without.

Ours numbers leaves in SQLite, writes tiles to a folder, signs a checkpoint and publishes it, a
group at a time; reading bundles and verifying their signatures comes before that and is not in
it. An audit reads all tiles and rows and computes the tree again. The peer hashes the same
leaves and the nodes above them, in memory.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from api.preparing import migrate
from api.settings import Settings
from artifacts.clock import SystemClock
from artifacts.db import Database, connect
from artifacts.digest import Digest
from artifacts.queries.log_leaves import Numbered
from artifacts.storage.directory import DirectoryStore
from benchmarks.places import file_system
from benchmarks.results import Bar, Measured, Result
from benchmarks.rounds import Scale, interleaved
from provenance.log.appending import Appender
from provenance.log.auditing import Auditor
from provenance.log.gathering import UNNUMBERED
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash, leaf_hashes, root_of
from provenance.log.notes import NoteSigner
from provenance.log.objects import LogObjects
from provenance.log.rows import IndexRows

_APPENDED, _AUDITED = 20_000, 100_000
_GROUP = 5_000
"""Leaves of one checkpoint: what a quarter of a second brings at the rate that is promised."""


def measure(scale: Scale) -> list[Result]:
    """Append to a fresh log, and audit one, in turns with the bare hashing."""
    appended, audited = (
        _leaves(min(_APPENDED, 10 * scale.records)),
        _leaves(min(_AUDITED, 50 * scale.records)),
    )
    with tempfile.TemporaryDirectory(dir=scale.directory, prefix="log-") as folder:
        place = file_system(Path(folder))
        adding, hashing = interleaved(
            lambda: _rate(appended, Path(folder), _append),
            lambda: _hashed(appended),
            rounds=scale.rounds,
        )
        ready = Path(folder, "audited")
        asyncio.run(_made(ready, audited))
        auditing, hashing_more = interleaved(
            lambda: asyncio.run(_audit(ready, audited)), lambda: _hashed(audited), rounds=scale.rounds
        )
    peer = "SHA-256 of every leaf and node"
    groups = f"{_GROUP:,} leaves to a checkpoint; a leaf is {len(appended[0].leaf or b'')} bytes"
    return [
        Result(
            "log append",
            f"{len(appended):,} leaves into an empty log: rows, tiles, checkpoints",
            Measured("the signer's log", adding, "/s"),
            Measured(peer, hashing, "/s"),
            place,
            [Bar(20_000, at_most=False, own=True)],
            [groups],
        ),
        Result(
            "log audit",
            f"{len(audited):,} leaves computed again and compared with tiles and rows",
            Measured("custody-server log audit", auditing, "/s"),
            Measured(peer, hashing_more, "/s"),
            place,
            [Bar(200_000, at_most=False, own=True)],
        ),
    ]


def _leaves(count: int) -> list[Numbered]:
    """Leaves as large as real ones; their signatures are verified by nobody here."""
    made = []
    for number in range(count):
        digest = sha256(b"%d" % number).digest()
        leaf = Leaf(digest, b"\x30\x45" + digest + digest + b"\0" * 5, b"\x30\x59" + bytes(89)).to_bytes()
        made.append(Numbered(UNNUMBERED, "default", Digest.sha256(digest), leaf_hash(leaf), leaf))
    return made


def _hashed(leaves: list[Numbered]) -> float:
    began = time.perf_counter()
    root_of(leaf_hashes([one.leaf or b"" for one in leaves]))
    return len(leaves) / (time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class _Log:
    database: Database
    store: DirectoryStore
    signer: NoteSigner

    @classmethod
    async def open(cls, folder: Path) -> _Log:
        settings = Settings(data=folder, public_url="https://custody.example")
        await migrate(settings)
        signer = NoteSigner.of("custody.example", ed25519.Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
        return cls(connect(settings.index_url), DirectoryStore(settings.objects), signer)

    async def close(self) -> None:
        await self.database.close()
        self.store.close()


async def _append(log: _Log, leaves: list[Numbered]) -> float:
    appender = Appender(log.database, log.store, SystemClock(), log.signer, frozenset(), "benchmark")
    await appender.resume()
    began = time.perf_counter()
    for start in range(0, len(leaves), _GROUP):
        await appender.add(leaves[start : start + _GROUP])
    return len(leaves) / (time.perf_counter() - began)


def _rate(
    leaves: list[Numbered], top: Path, work: Callable[[_Log, list[Numbered]], Awaitable[float]]
) -> float:
    folder = Path(tempfile.mkdtemp(dir=top))

    async def run() -> float:
        log = await _Log.open(folder)
        try:
            return await work(log, leaves)
        finally:
            await log.close()

    try:
        return asyncio.run(run())
    finally:
        shutil.rmtree(folder)


async def _made(folder: Path, leaves: list[Numbered]) -> None:
    log = await _Log.open(folder)
    await _append(log, leaves)
    await log.close()


async def _audit(folder: Path, leaves: list[Numbered]) -> float:
    log = await _Log.open(folder)
    began = time.perf_counter()
    audit = await Auditor(LogObjects(log.store), log.signer.key, IndexRows(log.database)).run()
    took = time.perf_counter() - began
    assert audit.clean
    assert audit.leaves == len(leaves)
    await log.close()
    return len(leaves) / took
