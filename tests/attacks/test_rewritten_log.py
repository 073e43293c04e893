"""Somebody puts an older index or bucket back, plants a log of their own, or lets two signers run.

No checkpoint is ever signed that is smaller than one before, or that does not begin with it.
Whoever has the key itself can sign another log; then those who kept a checkpoint see it.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.errors import CustodyError, EvidenceError
from artifacts.queries import log_leaves
from provenance.log.auditing import Auditor
from provenance.log.checkpoint import Checkpoint
from provenance.log.objects import LogObjects
from provenance.reindex import log
from tests.attacks.remains import change, query
from tests.provenance.log.published import empty_queue, published, some_built
from tests.reindex.corpus import believing, reindex
from tests.service import Service


def kept_index(service: Service, place: Path) -> None:
    """Copy the index as a backup does."""
    with sqlite3.connect(service.folder / "data" / "index" / "custody.db") as source:
        with sqlite3.connect(place) as target:
            source.backup(target)
        target.close()
    source.close()


async def put_back(service: Service, place: Path) -> None:
    """Put an older copy of the index in the place of the index."""
    await service.database.close()
    index = service.folder / "data" / "index"
    for path in index.glob("custody.db*"):
        path.unlink()
    shutil.copy(place, index / "custody.db")


def log_of(service: Service) -> dict[str, bytes]:
    """Every object of the log."""
    folder = service.folder / "data" / "objects"
    paths = [path for path in (folder / "log").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


async def refuses(service: Service) -> None:
    """Nothing is added to the log, and nothing in the bucket changes."""
    before = log_of(service)
    service.clock.advance(60)
    with pytest.raises(EvidenceError):
        await service.appender().resume()
    with pytest.raises(EvidenceError):
        await service.appender().round()
    assert log_of(service) == before
    numbered = query(service.folder / "data", "SELECT count(*) FROM log_leaf WHERE leaf IS NOT NULL")
    assert [tuple(row) for row in numbered] == [(0,)]


async def test_an_older_index_signs_no_smaller_or_forked_checkpoint(service: Service, tmp_path: Path) -> None:
    await some_built(service, 2)
    await service.log()
    kept_index(service, tmp_path / "older.db")
    await some_built(service, 2, first=2)
    await service.log()
    newest = (await published(service)).checkpoint
    await put_back(service, tmp_path / "older.db")
    await some_built(service, 3, first=10)
    await refuses(service)
    assert (await published(service)).checkpoint == newest


async def test_an_older_index_with_an_older_checkpoint_is_found_by_the_tiles(
    service: Service, tmp_path: Path
) -> None:
    await some_built(service, 2)
    await service.log()
    kept_index(service, tmp_path / "older.db")
    older = log_of(service)["log/checkpoint"]
    await some_built(service, 2, first=2)
    await service.log()
    await put_back(service, tmp_path / "older.db")
    path = service.folder / "data" / "objects" / "log" / "checkpoint"
    # More is signed than was lost, so that the index has more leaves than the tiles tell of.
    await some_built(service, 5, first=20)
    for planted in (older, None):
        path.unlink()
        if planted is not None:
            path.write_bytes(planted)
        await refuses(service)


async def test_an_index_from_before_the_first_leaf_begins_no_second_log(
    service: Service, tmp_path: Path
) -> None:
    kept_index(service, tmp_path / "older.db")
    await some_built(service, 3)
    await service.log()
    await put_back(service, tmp_path / "older.db")
    await some_built(service, 2, first=10)
    await refuses(service)
    (service.folder / "data" / "objects" / "log" / "checkpoint").unlink()
    await refuses(service)


async def test_reindex_mends_an_older_index_and_the_log_goes_on(service: Service, tmp_path: Path) -> None:
    await some_built(service, 2)
    await service.log()
    kept_index(service, tmp_path / "older.db")
    await some_built(service, 2, first=2)
    await service.log()
    before = await published(service)
    await put_back(service, tmp_path / "older.db")
    report = await reindex(service, believed=believing(service, log_key=service.appender().signer.key))
    assert report.counts["leaves"] == 4
    assert report.counts["leaves of no known bundle"] == 0
    assert await service.appender().fill() == 0
    await some_built(service, 1, first=5)
    service.clock.advance(60)
    assert await service.log() == 1
    after = await published(service)
    assert after.entries[:4] == before.entries
    async with service.client() as client:
        [row] = (await client.get("/v1/artifacts?name=dist/x.whl")).json()["artifacts"][:1]
        found = (await client.get(f"/v1/artifacts/{row['digest']}/attestations")).json()["attestations"][0]
        assert (await client.get(f"/v1/log/proof/{found['digest']}")).status_code == 200
        page = (await client.get(f"/v1/steps/{found['step']}")).json()
    assert "logged" in [entry["state"] for entry in page["ledger"]]


async def test_reindex_numbers_leaves_whose_bundle_is_lost_and_believes_no_damaged_log(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_AT_ONCE", 2)
    await some_built(service, 3)
    await service.log()
    folder = service.folder / "data" / "objects"
    key = service.appender().signer.key
    next((folder / "attestations" / "sha256").glob("*.json")).unlink()
    report = await reindex(service, believed=believing(service, log_key=key))
    assert (report.counts["leaves"], report.counts["leaves of no known bundle"]) == (3, 1)
    await service.appender().resume()
    without = await reindex(service)
    assert "no key of the log" in [one.reason for one in without.quarantined][-1]
    await refuses_to_resume(service)
    tile = folder / str(layout.log_tile("entries/000.p/3"))
    honest = tile.read_bytes()
    tile.unlink()
    for content in (honest[:-1] + b" ", None):
        if content is not None:
            tile.write_bytes(content)
        report = await reindex(service, believed=believing(service, log_key=key))
        assert [one.key for one in report.quarantined if one.key == "log/checkpoint"]
        await refuses_to_resume(service)
        tile.unlink(missing_ok=True)
    tile.write_bytes(honest)
    (folder / "log" / "checkpoint").unlink()
    report = await reindex(service, believed=believing(service, log_key=key))
    assert "tiles of a log and no checkpoint" in str(report.quarantined)


async def refuses_to_resume(service: Service) -> None:
    """An index that has no log goes on from no published one."""
    with pytest.raises(EvidenceError):
        await service.appender().resume()


async def test_reindex_knows_removals_and_holds_in_the_log(service: Service) -> None:
    from artifacts.digest import Digest
    from tests.control import DEFAULT, holding

    await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    await service.sign_decisions()
    await service.log()
    (service.folder / "data" / "objects" / "control" / "strange").write_bytes(b"")
    report = await reindex(service, believed=believing(service, log_key=service.appender().signer.key))
    assert (report.counts["leaves"], report.counts["leaves of no known bundle"]) == (1, 0)
    assert await service.appender().fill() == 0


async def test_two_signers_over_two_copies_of_an_index_make_no_fork(service: Service, tmp_path: Path) -> None:
    """The second works with a copy of the index that knows nothing of the first one's leaves."""
    await some_built(service, 2)
    await service.log()
    kept_index(service, tmp_path / "copy.db")
    await some_built(service, 1, first=2)
    rounds = [service.appender(name).round() for name in ("one", "two", "three")]
    found = await asyncio.gather(*rounds, return_exceptions=True)
    assert all(isinstance(one, int | CustodyError) for one in found)
    first = await published(service)
    await put_back(service, tmp_path / "copy.db")
    await some_built(service, 1, first=30)
    await refuses(service)
    assert (await published(service)) == first


async def test_whoever_has_the_key_and_signs_another_log_is_seen_by_who_kept_a_checkpoint(
    service: Service,
) -> None:
    await some_built(service, 3)
    await service.log()
    kept = (await published(service)).checkpoint
    folder = service.folder / "data"
    for name in log_of(service):
        (folder / "objects" / name).unlink()
    change(folder, "DELETE FROM log_leaf WHERE number >= ?", 0)
    change(folder, "DELETE FROM log_head WHERE size >= ?", 0)
    change(folder, "DELETE FROM queue WHERE kind = ?", log_leaves.LOG)
    change(folder, "DELETE FROM attestation_subject WHERE project <> ?", "")
    change(folder, "DELETE FROM attestation WHERE project <> ?", "")
    await some_built(service, 5, first=40)
    await service.log()
    key = service.appender().signer.key
    alone = await Auditor(LogObjects(service.store), key).run()
    assert alone.clean
    remembered = await Auditor(LogObjects(service.store), key, kept=[kept]).run()
    assert not remembered.clean
    assert isinstance(remembered.checkpoint, Checkpoint)


async def test_what_a_planted_queue_names_is_logged_by_nobody(service: Service) -> None:
    """Who may write the queue can have our own statements logged sooner, and nothing else."""
    await some_built(service, 1)
    await empty_queue(service)
    change(
        service.folder / "data",
        "INSERT INTO queue (project, kind, topic, available_at) VALUES ('default', 'log', ?, 0)",
        "control/keys/" + "0" * 64 + ".json",
    )
    await service.log()
    assert await LogObjects(service.store).note() is None
