"""Holding races, and judging what came of them."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tests.attacks.remains import query
from tests.postgres import a_cluster
from tests.races.arena import Arena, an_arena
from tests.races.contests import CONTESTS, Contest
from tests.races.history import explained

_AT_ONCE = 32
"""Rounds held together: they have nothing to do with each other, and get in each other's way."""


@dataclass
class Outcome:
    """What came of one kind of race."""

    contest: str
    rounds: int = 0
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    """Rounds that no order of the requests explains, as they went."""


def shares(rounds: int) -> dict[str, int]:
    """How many rounds of each kind make up `rounds`; the first takes what rounding leaves."""
    total = sum(contest.share for contest in CONTESTS)
    split = {contest.title: rounds * contest.share // total for contest in CONTESTS}
    split[CONTESTS[0].title] += rounds - sum(split.values())
    return split


async def hold_all(arena: Arena, rounds: int) -> list[Outcome]:
    """Hold so many rounds of all kinds."""
    split = shares(rounds)
    return [await hold(contest, arena, split[contest.title]) for contest in CONTESTS]


async def hold(contest: Contest, arena: Arena, rounds: int) -> Outcome:
    """Hold so many rounds of one kind."""
    outcome = Outcome(contest.title)
    requests, statuses = arena.requests, arena.statuses.copy()
    for first in range(0, rounds, _AT_ONCE):
        histories = await contest.play(arena, range(first, min(first + _AT_ONCE, rounds)))
        outcome.rounds += len(histories)
        for history in histories:
            if not explained(history, contest.model, contest.start):
                lines = sorted(history, key=lambda event: event.called)
                outcome.unexplained.append("\n".join([contest.title, *map(str, lines)]))
    outcome.requests = arena.requests - requests
    outcome.statuses = arena.statuses - statuses
    return outcome


def assert_one_statement_each(arena: Arena) -> None:
    """In the index as in the store: no step has two statements, and none is left unsigned."""
    stated = query(arena.folder, "SELECT step, digest FROM attestation")
    assert len(stated) == len({step for step, _ in stated}) > 0
    bundles = {path.stem for path in (arena.folder / "objects" / "attestations").rglob("*.json")}
    assert bundles == {bytes(digest).hex() for _, digest in stated}
    assert query(arena.folder, "SELECT id FROM step WHERE state NOT IN ('signed', 'open')") == []


def held_on(database: str, rounds: int, seed: int) -> list[Outcome]:
    """Hold so many rounds on SQLite or on PostgreSQL, in this process and to the end."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        index = None
        if database != "SQLite":
            cluster = stack.enter_context(a_cluster(fsync="off"))
            index = cluster.url(cluster.migrated())
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        outcomes = runner.run(_held_in(Path(folder), index, rounds, seed))
    for one in outcomes:
        print(f"{database}: {one.contest}: {one.rounds} rounds, {dict(one.statuses)}", file=sys.stderr)
    return outcomes


async def _held_in(folder: Path, index: str | None, rounds: int, seed: int) -> list[Outcome]:
    async with an_arena(folder, index, seed=seed) as arena:
        outcomes = await hold_all(arena, rounds)
        assert_one_statement_each(arena)
    return outcomes
