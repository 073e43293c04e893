"""What is signed is logged: once, in order, and only if our keys signed it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import EvidenceError, UnavailableError
from artifacts.layout import Key
from artifacts.queries import log_leaves, queue
from artifacts.queries.log_leaves import LOG, Head
from provenance.bundle import Bundle
from provenance.log import appending, gathering
from provenance.log.appending import Appender
from provenance.log.auditing import Auditor
from provenance.log.checkpoint import Checkpoint
from provenance.log.leaf import Leaf
from provenance.log.merkle import leaf_hash
from provenance.log.objects import LogObjects
from provenance.log.rows import IndexRows
from provenance.log.tiles import Tile, decode_entries, tile_at
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import built
from tests.attacks.remains import change, query
from tests.control import DEFAULT, holding
from tests.service import Service

pytestmark = pytest.mark.both_databases


@dataclass
class Log:
    """A log that was published, as anybody sees it."""

    checkpoint: Checkpoint
    entries: list[bytes]


async def published(service: Service) -> Log:
    """The newest checkpoint and all entries; every one of them is in it."""
    objects, key = LogObjects(service.store), service.appender().signer.key
    note = await objects.note()
    assert note is not None
    checkpoint = Checkpoint.verified(note, key)
    entries: list[bytes] = []
    for number in range(-(-checkpoint.size // 256)):
        tile = tile_at(None, number, size=checkpoint.size)
        entries += decode_entries(await objects.tile(tile), tile.width)
    for number, entry in enumerate(entries):
        proof = await objects.proof(number, note, size=checkpoint.size)
        assert proof.verify(entry, key) == checkpoint
        Leaf.parse(entry).check()
    return Log(checkpoint, entries)


async def some_built(service: Service, count: int, *, first: int = 0) -> None:
    """So many signed steps."""
    async with service.client() as client:
        for number in range(first, first + count):
            await built(service, client, b"wheel %d" % number)


def bundles(service: Service) -> list[bytes]:
    """Every signed statement in the store."""
    folder = service.folder / "data" / "objects" / "attestations" / "sha256"
    return [path.read_bytes() for path in sorted(folder.glob("*.json"))]


def leaf_of(service: Service, bundle: bytes) -> bytes:
    """The leaf of a bundle that the signer made."""
    return Leaf.of(Bundle.parse(bundle), service.signer.public_key).to_bytes()


async def test_what_is_signed_is_logged_and_its_step_says_so(service: Service) -> None:
    async with service.client() as client:
        step = await built(service, client)
        assert await service.log() == 1
        page = (await client.get(step.url)).json()
    assert [entry["state"] for entry in page["ledger"]] == ["open", "sealed", "signed", "logged"]
    assert page["state"] == "signed"
    log = await published(service)
    assert log.entries == [leaf_of(service, bundle) for bundle in bundles(service)]
    assert log.checkpoint.origin == "custody.test"
    assert await service.log() == 0


async def test_decisions_are_logged_as_statements_are(service: Service) -> None:
    await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    await service.sign_decisions()
    await some_built(service, 1)
    assert await service.log() == 2
    assert len((await published(service)).entries) == 2


async def test_a_log_grows_group_by_group_past_a_full_tile(service: Service) -> None:
    signed = await planted(service, 300)
    for begin, end in ((0, 1), (1, 250), (250, 257), (257, 300)):
        await enqueue(service, signed[begin:end])
        assert await service.log() == end - begin
        log = await published(service)
        assert log.checkpoint.size == end
    folder = service.folder / "data" / "objects" / "log" / "tile"
    kept = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    # What led to a full tile is gone; what was published behind it stays.
    assert kept == [
        *("0/000", "0/001.p/1", "0/001.p/44", "1/000.p/1"),
        *("entries/000", "entries/001.p/1", "entries/001.p/44"),
    ]
    rows = query(service.folder / "data", "SELECT count(*), count(leaf), max(number) FROM log_leaf")
    assert [tuple(row) for row in rows] == [(300, 0, 299)]


async def planted(service: Service, count: int) -> list[Digest]:
    """So many statements that the signer signed, in the store and in the index."""
    digests = []
    for number in range(count):
        raw = Bundle.of(sealed(PAYLOAD_TYPE, b'{"n":%d}' % number, service.signer)).to_bytes()
        digest = Digest.of(raw)
        await service.store.put(layout.attestation(digest), raw)
        digests.append(digest)
    if count:
        await some_built(service, 1, first=100_000)
        await empty_queue(service)
        folder = service.folder / "data"
        # Rows of statements like the one of the step that was built, but for their names.
        step, builder, kind, keyid, record, at = query(
            folder,
            "SELECT step, builder_id, predicate_type, keyid, record_digest, signed_at FROM attestation",
        )[0]
        for number, digest in enumerate(digests):
            change(
                folder,
                "INSERT INTO attestation (project, digest, step, builder_id, predicate_type, keyid, record_digest,"
                " signed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                *(DEFAULT, digest.raw, step, f"{builder}/{number}", kind, keyid, record, at),
            )
    return digests


async def empty_queue(service: Service) -> None:
    change(service.folder / "data", "DELETE FROM queue WHERE kind = ?", LOG)


async def enqueue(service: Service, digests: list[Digest], project: str = DEFAULT) -> None:
    """Ask for bundles to be logged."""
    jobs = [(project, LOG, str(layout.attestation(digest))) for digest in digests]
    async with service.database.writing() as connection:
        await queue.enqueue(connection, jobs, available_at=0)


async def test_a_bundle_is_logged_once_however_often_it_is_asked_for(service: Service) -> None:
    await some_built(service, 2)
    await service.log()
    before = await published(service)
    [one, _] = [Digest.of(bundle) for bundle in bundles(service)]
    await enqueue(service, [one])
    assert await service.log() == 1
    assert await published(service) == before


async def test_what_another_key_signed_never_becomes_a_leaf(service: Service) -> None:
    stranger = LocalSigner.of(ec.generate_private_key(ec.SECP256R1()))
    raw = Bundle.of(sealed(PAYLOAD_TYPE, b"{}", stranger)).to_bytes()
    [known] = await planted(service, 1)
    path = service.folder / "data" / "objects" / str(layout.attestation(known))
    path.chmod(0o600)
    path.write_bytes(raw)
    await enqueue(service, [known])
    assert await service.log() == 1
    assert await LogObjects(service.store).note() is None
    assert "nothing that was signed" in service.failures[0][1].args[0]


@pytest.mark.parametrize(
    "topic",
    [
        *("attestations/sha256/" + "0" * 64 + ".jso", "../keys/local.pem", "log/checkpoint"),
        "projects/default/blobs/sha256/00/00/" + "0" * 64,
    ],
)
async def test_a_job_that_names_no_bundle_ends(service: Service, topic: str) -> None:
    await some_built(service, 1)
    await service.log()
    async with service.database.writing() as connection:
        await queue.enqueue(connection, [(DEFAULT, LOG, topic)], available_at=0)
    quiet = service.appender()
    quiet.refused = appending._unheard
    await quiet.round()
    assert (await published(service)).checkpoint.size == 1


async def test_a_bundle_is_logged_for_the_project_that_it_was_signed_in(service: Service) -> None:
    [known] = await planted(service, 1)
    await enqueue(service, [known], project="other")
    assert await service.log() == 1
    assert await LogObjects(service.store).note() is None
    assert len(service.failures) == 1


async def test_a_statement_by_a_key_of_ours_that_the_index_does_not_know_waits_for_nobody(
    service: Service,
) -> None:
    raw = Bundle.of(sealed(PAYLOAD_TYPE, b"{}", service.signer)).to_bytes()
    await service.store.put(layout.attestation(Digest.of(raw)), raw)
    await enqueue(service, [Digest.of(raw)])
    assert await service.log() == 1
    assert len(service.failures) == 1


async def test_a_bundle_that_is_not_there_yet_is_looked_for_again(service: Service) -> None:
    [known] = await planted(service, 1)
    path = service.folder / "data" / "objects" / str(layout.attestation(known))
    aside = path.rename(path.with_name("aside"))
    await enqueue(service, [known])
    assert await service.appender().round() == 1
    assert await service.appender().round() == 0
    aside.rename(path)
    service.clock.advance(1)
    assert await service.log() == 1
    assert (await published(service)).checkpoint.size == 1


async def test_what_an_older_version_signed_is_logged_at_the_next_start(service: Service) -> None:
    await some_built(service, 2)
    await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    await service.sign_decisions()
    await empty_queue(service)
    assert await service.log() == 0
    assert await service.appender().fill() == 3
    assert await service.log() == 3
    assert await service.appender().fill() == 0


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
