"""Making garbage old, and collecting it: one collection after the other, in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from api import collect_rounds, wiring
from api.settings import Settings
from artifacts.clock import SystemClock
from tests.postgres import look

NAMES: Final = "short/"
"""What is named so may go by a rule."""
_RULES: Final = f'[[rule]]\nname = "{NAMES}*"\nolder_than = "1h"\n'
_OLDER_MS: Final = 25 * 3_600_000
"""An hour more than the grace period."""
# Not what a worker is still to read: its receipt would be of now.
_AGE: Final = """
    WITH old AS (
        SELECT digest FROM unnest(?::bytea[]) AS digest
        WHERE encode(digest, 'hex') NOT IN (SELECT topic FROM queue WHERE kind = 'hash')
    ), came AS (
        UPDATE receipt SET hashed_at = hashed_at - ? WHERE digest IN (SELECT digest FROM old)
    ), named AS (
        UPDATE artifact SET named_at = named_at - ? WHERE address IN (SELECT digest FROM old)
    ), told AS (
        UPDATE last_use SET named_at = named_at - ? WHERE digest IN (SELECT digest FROM old)
    )
    SELECT encode(digest, 'hex') FROM old
"""


def age(url: str, hexes: Sequence[str]) -> list[str]:
    """Let these be a day older than they are, where nobody looks at them; which that were."""
    if not hexes:
        return []
    raws = [bytes.fromhex(one) for one in hexes]
    return [row[0] for row in look(url, _AGE, raws, _OLDER_MS, _OLDER_MS, _OLDER_MS)]


@dataclass
class Collecting:
    """A process that collects whenever it is told to."""

    pid: int
    connection: Connection
    rounds: int = 0

    def __post_init__(self) -> None:
        self.decided: Counter[str] = Counter()
        """How much went for which reason."""

    def collect(self) -> None:
        """Collect once."""
        self.connection.send("collect")
        self.decided += self.connection.recv()
        self.rounds += 1


@contextmanager
def a_collector(folder: Path, url: str) -> Iterator[Collecting]:
    """A collector as the worker has it, over the same index and objects."""
    rules = folder / "retention.toml"
    rules.write_text(_RULES)
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_collecting, args=(theirs, folder, url, rules), daemon=True)
    process.start()
    theirs.close()
    try:
        assert process.pid is not None
        assert ours.recv() == "ready"
        yield Collecting(process.pid, ours)
    finally:
        ours.close()
        process.join(30)
        process.kill()


def _collecting(connection: Connection, folder: Path, url: str, rules: Path) -> None:
    settings = Settings(data=folder, database_url=url, retention_file=rules)
    asyncio.run(_collect_when_told(connection, settings))


async def _collect_when_told(connection: Connection, settings: Settings) -> None:
    database, store = wiring.open_database(settings), wiring.open_store(settings)
    seal = wiring.open_seal(settings)
    collector = collect_rounds.collector_of(settings, database, store, SystemClock(), seal)
    try:
        connection.send("ready")
        while await asyncio.to_thread(_is_told, connection):
            found = await collector.collect()
            decided: Counter[str] = Counter()
            for (_, _, reason), count in found.things.items():
                decided[reason] += count
            connection.send(decided)
    finally:
        await database.close()


def _is_told(connection: Connection) -> bool:
    try:
        return bool(connection.recv())
    except EOFError:
        return False
