"""A log that was cut off, that two signers write or whose rows were changed goes on, or stops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts import layout
from artifacts.errors import EvidenceError, UnavailableError
from artifacts.layout import Key
from artifacts.queries import log_leaves
from artifacts.queries.log_leaves import Head
from provenance.bundle import Bundle
from provenance.log import appending, gathering
from provenance.log.appending import Appender
from provenance.log.auditing import Auditor
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash
from provenance.log.objects import LogObjects
from provenance.log.rows import IndexRows
from provenance.log.tiles import Tile, decode_entries
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.remains import change, query
from tests.control import DEFAULT
from tests.provenance.log.published import (
    enqueue,
    planted,
    published,
    some_built,
)
from tests.service import Service

pytestmark = pytest.mark.both_databases


class CrashError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("step", ["write", "_decide", "publish", "prune", "_end"])
@pytest.mark.parametrize("first", [0, 3])
async def test_a_crash_at_any_step_leaves_a_log_that_goes_on(
    service: Service, step: str, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_built(service, first)
    await service.log()
    await some_built(service, 2, first=first)

    async def crash(*_args: Any) -> None:
        raise CrashError

    owner = LogObjects if hasattr(LogObjects, step) else Appender
    with monkeypatch.context() as broken:
        broken.setattr(owner, step, crash)
        with pytest.raises(CrashError):
            await service.appender("crashed").round()
    service.clock.advance(appending.LEASE_MS / 1000 + 1)
    other = service.appender("other")
    await other.resume()
    assert (await published(service)).checkpoint.size == first + 2
    await some_built(service, 1, first=10)
    while await other.round():
        pass
    log = await published(service)
    assert log.checkpoint.size == first + 3
    assert len(set(log.entries)) == first + 3
    states = query(service.folder / "data", "SELECT count(*) FROM step_ledger WHERE state = 'logged'")
    assert [tuple(row) for row in states] == [(first + 3,)]
    assert query(service.folder / "data", "SELECT * FROM queue WHERE kind = 'log'") == []


async def test_only_one_of_two_signers_adds_and_the_other_takes_over(service: Service) -> None:
    await some_built(service, 1)
    one, other = service.appender("one"), service.appender("other")
    assert await one.round() == 1
    await some_built(service, 1, first=1)
    assert await other.round() == 0
    await one.leave()
    assert await other.round() == 1
    await some_built(service, 1, first=2)
    assert await one.round() == 0
    service.clock.advance(appending.LEASE_MS / 1000 + 1)
    assert await one.round() == 1
    assert (await published(service)).checkpoint.size == 3
    await other.resume()


async def test_two_signers_at_once_make_one_log(service: Service) -> None:
    await some_built(service, 12)
    appenders = [service.appender(name) for name in ("one", "other", "third")]
    done = 0
    while done < 12:
        rounds = [one.round() for one in appenders]
        found = await asyncio.gather(*rounds, return_exceptions=True)
        done += sum(one for one in found if isinstance(one, int))
        service.clock.advance(appending.LEASE_MS / 1000 + 1)
    log = await published(service)
    assert len(set(log.entries)) == log.checkpoint.size == 12


async def test_who_lost_the_lead_meanwhile_numbers_and_decides_nothing(service: Service) -> None:
    await some_built(service, 1)
    slow, quick = service.appender("slow"), service.appender("quick")
    await slow.resume()
    service.clock.advance(appending.LEASE_MS / 1000 + 1)
    await quick.resume()
    with pytest.raises(UnavailableError):
        await slow._number([])
    with pytest.raises(UnavailableError):
        await slow._decide(Head(1, bytes(32)))
    with pytest.raises(EvidenceError):
        await _decide_smaller(service, quick)


async def _decide_smaller(service: Service, leader: Appender) -> None:
    await leader.round()
    await leader._decide(Head(0, bytes(32)))


async def test_a_checkpoint_that_was_written_late_is_written_over_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some_built(service, 1)
    slow, quick = service.appender("slow"), service.appender("quick")
    publish = LogObjects.publish

    async def late(self: LogObjects, note: bytes, clock: Any) -> None:
        monkeypatch.setattr(LogObjects, "publish", publish)
        await publish(self, note, clock)
        service.clock.advance(appending.LEASE_MS / 1000 + 1)
        await some_built(service, 1, first=1)
        await quick.round()
        await publish(self, note, clock)

    monkeypatch.setattr(LogObjects, "publish", late)
    assert await slow.round() == 1
    assert (await published(service)).checkpoint.size == 2


async def test_a_row_that_names_another_leaf_is_not_signed(service: Service, tmp_path: Path) -> None:
    """Whoever can write rows can number a leaf, but not sign what stands in it."""
    stranger = LocalSigner.of(ec.generate_private_key(ec.SECP256R1()))
    bundle = Bundle.of(sealed(PAYLOAD_TYPE, b"{}", stranger))
    foreign = Leaf.of(bundle, stranger.public_key).to_bytes()
    forged = Leaf(Leaf.parse(foreign).digest, b"no signature", service.signer.public_key.spki).to_bytes()
    await some_built(service, 1)
    await service.log()
    before = await published(service)
    for leaf, hashed in (
        (foreign, None),
        (forged, None),
        (b"{}", None),
        (foreign, bytes(32)),
        (None, bytes(32)),
    ):
        row = (1, DEFAULT, bytes(32), leaf_hash(leaf or b"") if hashed is None else hashed, leaf)
        change(
            service.folder / "data",
            "INSERT INTO log_leaf (number, project, bundle, hash, leaf) VALUES (?, ?, ?, ?, ?)",
            *row,
        )
        with pytest.raises(EvidenceError):
            await service.appender().resume()
        change(service.folder / "data", "DELETE FROM log_leaf WHERE number = ?", 1)
    assert await published(service) == before


async def test_a_crash_that_left_many_leaves_is_published_in_pieces(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_MOST", 2)
    await some_built(service, 5)
    assert await service.appender().round() == 5
    assert (await published(service)).checkpoint.size == 5


async def test_a_full_tile_stands_for_the_parts_of_it_that_are_gone(service: Service) -> None:
    signed = await planted(service, 256)
    await enqueue(service, signed)
    await service.log()
    objects = LogObjects(service.store)
    whole, entries = await objects.tile(Tile(0, 0)), await objects.tile(Tile(None, 0))
    assert await objects.tile(Tile(0, 0, 3)) == whole[:96]
    assert decode_entries(await objects.tile(Tile(None, 0, 3)), 3) == decode_entries(entries, 256)[:3]
    async with service.database.reading() as connection:
        assert await log_leaves.number_of(connection, DEFAULT, signed[7]) == 7
        assert await log_leaves.number_of(connection, "other", signed[7]) is None
    assert gathering.UNNUMBERED < 0
    assert Key("log/checkpoint") == layout.log_checkpoint()


async def test_an_audit_of_the_index_finds_a_row_that_was_changed(service: Service) -> None:
    await some_built(service, 3)
    await service.log()
    rows, key = IndexRows(service.database), service.appender().signer.key
    assert (await Auditor(LogObjects(service.store), key, rows).run()).clean
    assert await rows.together(0, 3) == b"".join(hashed for _, hashed in await rows.each(0, 3))
    assert await rows.together(3, 9) == b""
    change(service.folder / "data", "UPDATE log_leaf SET hash = ? WHERE number = 1", bytes(32))
    audit = await Auditor(LogObjects(service.store), key, rows).run()
    assert [finding.place for finding in audit.findings] == ["row 1"]
