"""`custody-server collect`, the collections of the worker, and the settings they go by."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from api.collect_rounds import CollectRounds, collector_of, removals_of, rules_of
from api.commands import main
from api.settings import Settings
from artifacts.collecting import Collector, Terms
from artifacts.errors import InvalidInputError, UnavailableError
from artifacts.labour import Labourer
from artifacts.removal import REMOVE
from tests.attacks.actors import begin, finish
from tests.attacks.remains import query
from tests.collecting import is_here, keys, named, unnamed
from tests.service import Service

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RULES = '[[rule]]\nname = "nightly/*"\nolder_than = "1d"\n'


def settings_of(service: Service, **members: object) -> Settings:
    return Settings(data=service.folder / "data", **members)  # type: ignore[arg-type]  # as a test gives them


async def collect(service: Service, *words: str) -> int:
    """The command, as beside a running service."""
    return await asyncio.to_thread(main, ["collect", *words, "--data", str(service.folder / "data")])


async def test_the_command_says_what_would_go_and_then_removes_it(
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = tmp_path / "retention.toml"
    rules.write_text(RULES)
    monkeypatch.setenv("CUSTODY_RETENTION_FILE", str(rules))
    service.clock.moment = LONG_AGO
    lost = await unnamed(service, b"garbage")
    async with service.client() as client:
        old = await named(client, b"nightly", "nightly/app.whl")
        kept = await named(client, b"kept", "app.whl")
        before = keys(service)
        assert await collect(service, "--dry-run") == 0
        told = capsys.readouterr().out
        assert "default: 1 blobs, 7 bytes (unnamed)\n" in told
        assert "default: 1 blobs, 7 bytes (rule)\n" in told
        assert f"blob {old}  default  (rule 1: name = nightly/*, older_than = 1d)" in told
        assert told.endswith("nothing was changed\n")
        assert keys(service) == before
        assert await collect(service, "--json", "--project", "default") == 0
        found = json.loads(capsys.readouterr().out)
        assert found["decided"] == [
            {"project": "default", "kind": "blob", "reason": reason, "count": 1, "bytes": 7}
            for reason in ("rule", "unnamed")
        ]
        assert {one["digest"] for one in found["largest"]} == {old, str(lost)}
        assert (found["dry_run"], found["under_way"], found["over_budget"]) == (False, 0, {})
        assert [await is_here(client, digest) for digest in (old, lost, kept)] == [False, False, True]
        assert await collect(service) == 0
        assert capsys.readouterr().out.endswith("nothing may go\n")


async def test_what_cannot_be_collected_is_told_by_the_exit_status(
    service: Service,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await collect(service, "--project", "nobodys") == 3
    assert "there is no project nobodys" in capsys.readouterr().err
    rules = tmp_path / "retention.toml"
    rules.write_text('[[rule]]\nolder = "1d"\n')
    monkeypatch.setenv("CUSTODY_RETENTION_FILE", str(rules))
    assert await collect(service) != 0
    assert "unknown member: older" in capsys.readouterr().err


async def test_an_index_that_is_older_than_its_bucket_removes_nothing(
    service: Service,
    fresh: Service,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    service.clock.moment = LONG_AGO
    async with service.client() as client:
        await finish(client, await begin(client))
    await unnamed(service, b"what the old index knows")
    index = f"sqlite+aiosqlite:///{tmp_path}/fresh/index/custody.db"
    monkeypatch.setenv("CUSTODY_DATABASE_URL", index)
    before = keys(service)
    assert await collect(service) == 5
    assert "reindex" in capsys.readouterr().err
    assert keys(service) == before


async def test_over_its_budget_a_project_is_named(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "retention.toml"
    rules.write_text('[[rule]]\nname = "x"\nover_budget = true\n[[budget]]\nproject = "default"\nbytes = 3\n')
    monkeypatch.setenv("CUSTODY_RETENTION_FILE", str(rules))
    service.clock.moment = LONG_AGO
    async with service.client() as client:
        await named(client, b"four", "y")
    assert await collect(service) == 0
    assert "default is 1 bytes over its budget" in capsys.readouterr().out
    rounds = CollectRounds(_collector(service, retention_file=rules), 1)
    with capture_logs() as logs:
        await rounds.round()
    assert [log["event"] for log in logs] == ["collect.over_budget"]


def _collector(service: Service, **members: object) -> Collector:
    settings = settings_of(service, **members)
    return collector_of(settings, service.database, service.store, service.clock, service.seal)


async def test_the_worker_collects_until_it_is_told_to_stop(service: Service) -> None:
    service.clock.moment = LONG_AGO
    await unnamed(service, b"garbage")
    service.clock.advance(2 * 86_400)
    stop = asyncio.Event()

    async def check() -> None:
        if query(service.folder / "data", "SELECT * FROM tombstone"):
            stop.set()

    removals = removals_of(settings_of(service), service.database, service.store, service.clock)
    collector = Collector(service.database, service.clock, removals, Terms(check=check))
    with capture_logs() as logs:
        await CollectRounds(collector, 0.01).run(stop)
    assert [log["event"] for log in logs] == ["collect.decided"]
    await CollectRounds(_collector(service), 0).run(asyncio.Event())


async def test_a_collection_that_fails_is_told_and_tried_again(service: Service) -> None:
    async def away() -> None:
        raise UnavailableError("the store does not answer")

    removals = removals_of(settings_of(service), service.database, service.store, service.clock)
    collector = Collector(service.database, service.clock, removals, Terms(check=away))
    with capture_logs() as logs:
        await CollectRounds(collector, 1).round()
    assert [log["event"] for log in logs] == ["collect.failed"]


async def test_over_a_store_whose_deletes_may_be_late_a_removal_ends_when_none_can_be(
    service: Service,
) -> None:
    service.clock.moment = LONG_AGO
    lost = await unnamed(service, b"garbage")
    service.clock.advance(2 * 86_400)
    settings = settings_of(service, store_url="s3://bucket/prefix")
    await _collector(service, store_url="s3://bucket/prefix").collect()
    removals = removals_of(settings, service.database, service.store, service.clock)
    labourer = Labourer(service.database, service.clock, REMOVE, "w", removals.remove, _raise)
    state = "SELECT state FROM tombstone"
    assert await labourer.round() == 1
    assert [name for name in keys(service) if lost.hex in name] == []
    for _ in range(2):
        assert query(service.folder / "data", state) == [("deleting",)]
        assert await labourer.round() == 0
        service.clock.advance(65)
    assert await labourer.round() == 1
    assert query(service.folder / "data", state) == [("gone",)]


def _raise(_: object, error: Exception) -> None:
    raise error


def test_a_retention_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, retention_file=tmp_path / "nothing.toml")
    with pytest.raises(InvalidInputError, match=r"nothing\.toml"):
        rules_of(settings)
    (tmp_path / "nothing.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidInputError):
        rules_of(settings)
