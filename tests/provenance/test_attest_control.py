"""What the signer makes of its queue of decisions: removals and holds, and nothing else."""

from __future__ import annotations

import pytest

from artifacts import layout
from artifacts.control import CONTROL, TREE, Decision
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.queries import holds, queue
from provenance import dsse
from provenance.attest_control import ControlAttester
from provenance.bundle import Bundle
from provenance.control import read
from tests.attacks.actors import built
from tests.attacks.remains import change, query
from tests.control import DEFAULT, a_tombstone, decided, holding, kept, removed_for_good, signed
from tests.service import PUBLIC_URL, Service, sha256
from tests.trees.shapes import a_pack, a_tree, send, upload

pytestmark = pytest.mark.both_databases


async def test_a_hold_is_signed_as_it_was_placed_and_again_to_the_same_bytes(service: Service) -> None:
    digest = Digest.of(b"held")
    placed = await holding(service).place(DEFAULT, digest, "an audit")
    assert placed.attested is None
    assert await service.sign_decisions() == 1
    (path,) = kept(service)
    bundle = path.read_bytes()
    assert dsse.verify(Bundle.parse(bundle).envelope, {service.signer.public_key})
    assert bundle == signed(placed.word, service.signer)
    async with service.database.reading() as connection:
        (held,) = await holds.held(connection, DEFAULT)
    assert (held.word, held.attested) == (placed.word, Digest.of(bundle))
    path.unlink()
    forgotten = "UPDATE hold_event SET attested = NULL WHERE event = ?"
    change(service.folder / "data", forgotten, placed.word.name.event)
    await holding(service).lift(DEFAULT, digest, "the audit is over")
    await asked_for(service, placed.word)
    assert await service.sign_decisions() == 2
    assert path.read_bytes() == bundle
    assert len(kept(service)) == 2


async def asked_for(service: Service, made: Decision) -> None:

    async with service.database.writing() as connection:
        await queue.enqueue(connection, [(made.name.project, CONTROL, made.name.topic)], available_at=0)


async def test_what_is_signed_already_is_not_signed_again(service: Service) -> None:
    placed = await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    await service.sign_decisions()
    (path,) = kept(service)
    path.unlink()
    await asked_for(service, placed.word)
    assert await service.sign_decisions() == 1
    assert kept(service) == []


async def test_a_removal_is_signed_once_nothing_lies_there(service: Service) -> None:
    async with service.client() as client:
        await upload(client, b"a secret")
    removed = a_tombstone(b"a secret")
    await decided(service, removed)
    await service.sign_decisions()
    assert kept(service) == []
    service.clock.advance(61)
    await removed_for_good(service, b"a secret")
    (path,) = kept(service)
    assert read(Bundle.parse(path.read_bytes()).envelope.payload) == removed
    told = query(service.folder / "data", "SELECT attested FROM tombstone")
    assert bytes(told[0][0]) == Digest.of(path.read_bytes()).raw


@pytest.mark.parametrize("left", ["api", "worker", "blob"])
async def test_one_object_that_is_left_keeps_a_removal_from_being_signed(service: Service, left: str) -> None:
    removed = a_tombstone(b"a secret")
    digest = removed.name.digest
    key = layout.blob(DEFAULT, digest) if left == "blob" else layout.receipt(DEFAULT, digest, left)
    await service.store.put(key, b"left over")
    await decided(service, removed)
    for _ in range(3):
        await service.sign_decisions()
        service.clock.advance(61)
    assert kept(service) == []
    await service.store.delete(key)
    await service.sign_decisions()
    assert len(kept(service)) == 1


async def test_a_removal_that_is_not_over_is_not_signed(service: Service) -> None:
    removed = a_tombstone(b"a secret")
    await decided(service, removed, state="deleting", gone_at=None)
    await service.sign_decisions()
    assert kept(service) == []
    await decided(service, removed)
    service.clock.advance(61)
    await service.sign_decisions()
    assert len(kept(service)) == 1


async def test_bytes_that_came_again_need_no_tombstone_unless_they_are_barred(service: Service) -> None:
    async with service.client() as client:
        await upload(client, b"back again")
        await send(client, a_tree(), a_pack())
    for content in (b"back again", a_tree().text):
        kind = TREE if content == a_tree().text else "blob"
        removed = a_tombstone(content, barred=False, reason="unnamed", detail=None, kind=kind)
        await decided(service, removed)
    assert await service.sign_decisions() == 2
    await decided(service, a_tombstone(b"back again"))
    service.clock.advance(61)
    await service.sign_decisions()
    assert kept(service) == []
    assert query(service.folder / "data", "SELECT count(*) FROM queue WHERE kind = 'control'") == [(1,)]


async def test_a_tree_is_gone_with_its_manifest_and_receipt(service: Service) -> None:
    tree = a_tree()
    removed = a_tombstone(tree.text, kind=TREE)
    assert str(removed.name.digest) == tree.digest
    key = layout.manifest(DEFAULT, removed.name.digest)
    await service.store.put(key, b"left over")
    await decided(service, removed)
    await service.sign_decisions()
    assert kept(service) == []
    await service.store.delete(key)
    service.clock.advance(61)
    await service.sign_decisions()
    assert len(kept(service)) == 1


async def test_of_two_removals_of_one_digest_the_last_is_signed(service: Service) -> None:
    await decided(service, a_tombstone(b"x", 1))
    await decided(service, a_tombstone(b"x", 2))
    assert await service.sign_decisions() == 2
    assert [path.name for path in kept(service)] == ["00000002.json"]


async def test_what_somebody_planted_under_its_name_does_not_keep_a_removal_out(service: Service) -> None:
    removed = a_tombstone(b"x")
    await service.store.put(layout.tombstone(removed.name), b"planted")
    await decided(service, removed)
    await service.sign_decisions()
    (path,) = kept(service)
    assert path.read_bytes() == signed(removed, service.signer)


async def test_a_signer_that_lost_its_lease_notes_nothing(service: Service) -> None:

    placed = await holding(service).place(DEFAULT, Digest.of(b"held"), "an audit")
    async with service.database.writing() as connection:
        (job,) = await queue.take(connection, CONTROL, owner="late", now=2**50, lease_ms=0, limit=1)
        await queue.take(connection, CONTROL, owner="other", now=2**50, lease_ms=0, limit=1)
    late = ControlAttester(service.database, service.store, service.clock, service.signer, PUBLIC_URL)
    await late.attest(job)
    assert query(service.folder / "data", "SELECT attested FROM hold_event") == [(None,)]
    assert len(kept(service)) == 1
    assert placed.word.name.event in str(kept(service)[0])


async def test_a_decision_is_no_evidence_of_any_step(service: Service) -> None:
    async with service.client() as client:
        await built(service, client)
        await holding(service).place(DEFAULT, Digest.of(b"a wheel"), "an audit")
        await service.sign_decisions()
        told = (await client.get(f"/v1/artifacts/sha256:{sha256(b'a wheel')}/attestations")).json()
    assert len(told["attestations"]) == 1


@pytest.mark.parametrize("topic", ["", f"hold/{'a' * 64}/{'1' * 26}/x"])
async def test_a_job_that_names_no_decision_is_ended_and_told(service: Service, topic: str) -> None:
    async with service.database.writing() as connection:
        await queue.enqueue(connection, [(DEFAULT, CONTROL, topic)], available_at=0)
    with pytest.raises(InvalidInputError):
        await service.sign_decisions()
    assert query(service.folder / "data", "SELECT count(*) FROM queue") == [(0,)]
