"""The scrub of a worker: at its rate, round after round, going on where it stopped."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from api import scrub_rounds
from api.scrub_rounds import Rounds, ScrubMetrics
from api.settings import Settings
from artifacts.scrubbing import position
from artifacts.scrubbing.pacing import LEAST, Pace
from artifacts.scrubbing.position import Position
from artifacts.scrubbing.report import Report
from artifacts.scrubbing.scrubber import Scope, Stores
from tests.scrubbing.bench import lying, name, scrub, spoil, the
from tests.service import Service
from tests.trees.shapes import upload

FAST = 10**12


class Hands:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.moment = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """The moment."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Let time go by."""
        self.slept.append(seconds)
        self.moment += seconds


async def test_no_more_is_read_than_the_rate_allows() -> None:
    hands = Hands()
    pace = Pace(1000, hands.now, hands.sleep)
    for count in (500, 500, 2000):
        await pace(count)
    assert hands.moment == pytest.approx(3.0)
    hands.moment += 60
    await pace(1000)
    assert hands.slept[-1] == pytest.approx(1.0), "time that went by unused is not saved up"


async def test_without_a_rate_nobody_waits() -> None:
    hands = Hands()
    await Pace(None, hands.now, hands.sleep)(10**9)
    assert hands.slept == []


async def test_a_scrub_keeps_to_its_rate_and_small_objects_count_too(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, b"small")
    await upload(client, bytes(3_000_000))
    hands = Hands()
    report = await scrub(service, pace=Pace(1_000_000, hands.now, hands.sleep))
    total = sum(report.counts.values())
    least = (report.bytes + LEAST * (total - 1)) / 1_000_000
    assert hands.moment >= least * 0.95
    assert hands.moment <= least * 1.2


def test_a_position_is_read_as_it_was_written_and_one_that_cannot_be_read_is_the_beginning(
    tmp_path: Path,
) -> None:
    path = tmp_path / "scrub.json"
    assert position.read(path) == Position()
    position.write(path, Position(17, "projects/x", done=False))
    assert position.read(path) == Position(17, "projects/x", done=False)
    assert list(tmp_path.iterdir()) == [path]
    for text in ("", "[]", "{}", json.dumps({"began_at": "x", "after": "", "done": False})):
        path.write_text(text)
        assert position.read(path) == Position()


def rounds(service: Service, **changes: object) -> tuple[Rounds, CollectorRegistry]:
    """The rounds of the worker of `service`, and what they count."""
    registry = CollectorRegistry()
    settings = Settings(data=service.folder / "data", scrub_bytes_per_second=FAST)
    made = scrub_rounds.of(settings, service.database, service.store, service.clock, registry)
    for member, value in changes.items():
        setattr(made, member, value)
    return made, registry


async def test_a_round_is_counted_logged_and_followed_by_the_next_a_day_later(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await upload(client, b"content")
    await upload(client, b"more content")
    spoil(the(service, "projects/default/blobs"))
    worker, registry = rounds(service)
    with capture_logs() as logged:
        report = await worker.round()
    assert [one["event"] for one in logged] == ["scrub.damaged", "scrub.round"]
    assert logged[0]["why_not"] == "there is no second store"
    assert registry.get_sample_value("custody_scrub_damaged_total", {"kind": "blob"}) == 1
    assert registry.get_sample_value("custody_scrub_healed_total", {"kind": "blob"}) is None
    assert registry.get_sample_value("custody_scrub_objects_total") == sum(report.counts.values())
    assert registry.get_sample_value("custody_scrub_bytes_total") == report.bytes
    kept = position.read(worker.kept)
    assert kept.done
    assert not worker._is_due()
    service.clock.advance(86_400)
    assert worker._is_due()


async def test_a_round_that_is_broken_off_goes_on_behind_the_last_key(
    service: Service, client: httpx2.AsyncClient
) -> None:
    for number in range(40):
        await upload(client, f"content {number}".encode())
    names = [name(service, path) for path in lying(service, "projects/default/blobs")]
    stop = asyncio.Event()

    class Halting(Rounds):
        """Is told to stop after the first few objects."""

        def _count(self, report: Report) -> None:
            stop.set()

    worker, _ = rounds(service)
    metrics = ScrubMetrics(CollectorRegistry())
    halting = Halting(service.database, Stores(service.store), service.clock, FAST, worker.kept, metrics)
    await asyncio.wait_for(halting.run(stop), 30)
    kept = position.read(worker.kept)
    assert not kept.done
    assert kept.after
    rest = await scrub(service, scope=Scope(after=kept.after))
    assert rest.counts["blobs"] == len([one for one in names if one > kept.after])
    assert sum(rest.counts.values()) < sum((await scrub(service)).counts.values())
    report = await worker.round()
    assert report.counts == rest.counts
    assert position.read(worker.kept).done


async def test_without_a_rate_the_worker_leaves_all_of_it_alone(service: Service) -> None:
    worker, _ = rounds(service, per_second=0)
    await asyncio.wait_for(worker.run(asyncio.Event()), 10)
    assert not worker.kept.exists()


async def test_a_worker_that_has_nothing_to_scrub_waits_until_it_is_told_to_stop(service: Service) -> None:
    worker, _ = rounds(service)
    await worker.round()
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_a_store_that_is_away_is_said_and_tried_again(service: Service) -> None:
    asked = asyncio.Event()

    class Away:
        def __getattr__(self, called: str) -> object:
            asked.set()
            raise OSError(called)

    worker, _ = rounds(service, stores=Stores(Away()))  # type: ignore[arg-type]  # it is away
    stop = asyncio.Event()
    with capture_logs() as logged:
        running = asyncio.create_task(worker.run(stop))
        await asyncio.wait_for(asked.wait(), 10)
        stop.set()
        await asyncio.wait_for(running, 10)
    assert logged[0]["event"] == "scrub.failed"


async def test_a_position_that_cannot_be_kept_is_said_and_no_reason_to_stop(service: Service) -> None:
    worker, _ = rounds(service, kept=service.folder / "nowhere" / "scrub.json")
    with capture_logs() as logged:
        report = await worker.round()
    assert report.clean
    assert "scrub.position_lost" in [one["event"] for one in logged]
