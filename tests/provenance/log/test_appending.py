"""What is signed is logged: once, in order, and only if our keys signed it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts import layout
from artifacts.digest import Digest
from artifacts.queries import queue
from artifacts.queries.log_leaves import LOG
from provenance.bundle import Bundle
from provenance.log import appending
from provenance.log.objects import LogObjects
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import built
from tests.attacks.remains import query
from tests.control import DEFAULT, holding
from tests.provenance.log.published import (
    bundles,
    empty_queue,
    enqueue,
    leaf_of,
    planted,
    published,
    some_built,
)
from tests.service import Service

pytestmark = pytest.mark.both_databases


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
