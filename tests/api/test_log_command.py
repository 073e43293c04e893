"""`custody-server log`, and the signer's rounds."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from api import log_rounds
from api.commands import main
from api.metrics import LabourMetrics
from api.settings import Settings
from artifacts.clock import SystemClock
from artifacts.errors import UnavailableError
from provenance.log.appending import Appender
from tests.attacks.actors import built
from tests.attacks.remains import change, query
from tests.service import PUBLIC_URL, Service


async def commanded(service: Service, *words: str) -> int:
    """Run the command beside the running service, with the key of its log."""
    key = service.appender().signer.key.text
    given = ["log", words[0], "--data", str(service.folder / "data"), "--key", key, *words[1:]]
    return await asyncio.to_thread(main, given)


async def logged(service: Service, *contents: bytes) -> None:
    """Steps that are signed and logged."""
    async with service.client() as client:
        for content in contents:
            await built(service, client, content)
    await service.log()


async def test_a_log_that_nobody_touched_ends_with_0(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await logged(service, b"one", b"two")
    assert await commanded(service, "audit", "--signatures") == 0
    told = capsys.readouterr().out
    assert "custody.test: 2 leaves" in told
    assert "everything is as it was signed" in told
    assert await commanded(service, "audit", "--json") == 0
    members = json.loads(capsys.readouterr().out)
    assert (members["clean"], members["size"], members["leaves"]) == (True, 2, 2)


async def test_a_changed_row_ends_with_1_and_is_named(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await logged(service, *(b"%d" % number for number in range(60)))
    change(service.folder / "data", "UPDATE log_leaf SET hash = ?", bytes(32))
    assert await commanded(service, "audit") == 1
    told = capsys.readouterr().out
    assert "row 1: the index has another leaf" in told
    assert "… and 10 more" in told
    assert await commanded(service, "audit", "--no-index") == 0


async def test_the_log_must_begin_with_what_was_kept(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await logged(service, b"one")
    capsys.readouterr()
    assert await commanded(service, "checkpoint") == 0
    kept = tmp_path / "kept"
    kept.write_text(capsys.readouterr().out)
    await logged(service, b"two")
    assert await commanded(service, "audit", "--since", str(kept)) == 0
    kept.write_text(kept.read_text().replace("\n1\n", "\n2\n"))
    assert await commanded(service, "audit", "--since", str(kept)) == 1
    assert "wrong" in capsys.readouterr().err
    assert await commanded(service, "audit", "--since", str(tmp_path / "nowhere")) == 4


async def test_a_log_that_does_not_exist_ends_with_3(service: Service) -> None:
    assert await commanded(service, "audit") == 3
    assert await commanded(service, "checkpoint") == 3


async def test_what_is_no_checkpoint_of_the_key_is_not_printed(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await logged(service, b"one")
    path = service.folder / "data" / "objects" / "log" / "checkpoint"
    path.unlink()
    path.write_text("no note")
    capsys.readouterr()
    assert await commanded(service, "checkpoint") == 1
    assert capsys.readouterr().out == ""


async def test_without_a_key_nothing_is_believed(service: Service) -> None:
    given = ["log", "audit", "--data", str(service.folder / "data")]
    assert await asyncio.to_thread(main, given) == 4


async def test_the_signer_logs_until_it_is_told_to_stop(service: Service) -> None:
    settings = Settings(data=service.folder / "data", public_url=PUBLIC_URL)
    log = log_rounds.of(settings, service.database, service.store, SystemClock(), service.signer.public_key)
    stop, metrics = asyncio.Event(), LabourMetrics("signer")
    async with service.client() as client:
        step = await built(service, client)
        change(service.folder / "data", "DELETE FROM queue WHERE kind = ?", "log")
        running = asyncio.create_task(log_rounds.run(log, metrics, stop))
        while "logged" not in str((await client.get(step.url)).json()["ledger"]):
            assert not running.done()
    stop.set()
    await running
    assert query(service.folder / "data", "SELECT owner FROM log_head")[0][0] is None
    assert settings.log_key_file.stat().st_uid == os.geteuid()
    assert log.signer.key.name == "custody.test"


async def test_a_log_that_may_not_be_added_to_is_told_of_and_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_rounds, "_REFUSED_SECONDS", 0.01)
    settings = Settings(data=service.folder / "data", public_url=PUBLIC_URL)
    log = log_rounds.of(settings, service.database, service.store, SystemClock(), service.signer.public_key)
    planted = service.folder / "data" / "objects" / "log" / "checkpoint"
    planted.parent.mkdir()
    planted.write_text("no note")
    stop, fill = asyncio.Event(), Appender.fill
    seen: list[int] = []

    async def away(self: Appender) -> int:
        seen.append(1)
        if len(seen) == 1:
            raise UnavailableError("the index is away")
        if len(seen) == 4:
            planted.unlink()
            stop.set()
        return await fill(self)

    monkeypatch.setattr(Appender, "fill", away)
    await log_rounds.run(log, LabourMetrics("signer"), stop)
    assert len(seen) == 4
    told = capsys.readouterr().out
    assert "log.failed" in told
    assert "log.refused" in told
