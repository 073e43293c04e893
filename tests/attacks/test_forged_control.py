"""Nothing is signed as removed or held that worker and operator did not decide, and nothing else is believed.

Whoever writes to the queue asks for signatures; whoever writes to the bucket plants, changes and
moves signed removals and holds, then the index is lost and filled again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from artifacts import layout
from artifacts.control import BLOB, CONTROL
from artifacts.digest import Digest
from artifacts.errors import CustodyError
from artifacts.layout import Key
from artifacts.queries import decisions, removals
from provenance import dsse
from provenance.bundle import Bundle
from provenance.signers.local import LocalSigner
from provenance.signing import sealed
from provenance.writer import PAYLOAD_TYPE
from tests.attacks.actors import built
from tests.attacks.hostile import request
from tests.attacks.planting import plant
from tests.attacks.remains import change, query, remains
from tests.control import DEFAULT, a_tombstone, decided, holding, kept, removed_for_good, signed
from tests.reindex.corpus import journal_tokens, objects, reindex
from tests.service import Service
from tests.trees.shapes import upload

SECRET = b"a secret"
DIGEST = Digest.of(SECRET)
NOT_SERVED = {404, 410}
EVENT = "01K5AAAAAAAAAAAAAAAAAAAAAA"


async def asked(service: Service) -> None:
    """Let the signer work until it has nothing more to do."""
    for _ in range(20):
        try:
            await service.sign_decisions()
        except CustodyError:
            service.failures.clear()
        service.clock.advance(61)


async def test_a_job_without_a_decision_gets_nothing_signed(service: Service) -> None:
    for topic in (
        f"hold/{DIGEST.hex}/{EVENT}",
        f"tombstone/blob/{DIGEST.hex}/1",
        f"tombstone/tree/{DIGEST.hex}/1",
        f"tombstone/../{DIGEST.hex}/1",
        f"sign/{DIGEST.hex}",
        "hold",
        "",
        "{}",
    ):
        request(service, topic, kind=CONTROL)
        request(service, topic, kind=CONTROL, project="../other")
    await asked(service)
    assert kept(service) == []
    assert remains(service.folder / "data").rows["queue"] == frozenset()


async def test_a_job_of_another_project_gets_nothing_signed_there(service: Service) -> None:
    removed = a_tombstone(SECRET)
    await decided(service, removed)
    request(service, removed.name.topic, kind=CONTROL, project="other")
    await asked(service)
    assert [path.parts[-4] for path in kept(service)] == [DEFAULT]


ROWS: dict[str, tuple[str, object]] = {
    "a reason that is a sentence": ("reason", "Because it is so"),
    "a reason that is none": ("reason", ""),
    "a detail with lines": ("detail", "a\nb"),
    "a detail that is too long": ("detail", "x" * 2000),
    "a size below nothing": ("size", -1),
    "a size that is text": ("size", "many"),
    "gone before it was decided": ("gone_at", 1),
    "gone never": ("gone_at", None),
    "gone in no year": ("gone_at", 2**60),
    "decided in text": ("decided_at", "yesterday"),
    "decided before 1970": ("decided_at", -1),
    "a detail that is bytes": ("detail", b"\xff"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_row_that_tells_of_no_removal_gets_nothing_signed(
    service: Service, row: tuple[str, object]
) -> None:
    await decided(service, a_tombstone(SECRET))
    name, value = row
    change(service.folder / "data", f"UPDATE tombstone SET {name} = ?", value)  # noqa: S608  # our own names
    await asked(service)
    assert kept(service) == []
    assert query(service.folder / "data", "SELECT attested FROM tombstone") == [(None,)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("state", "kept"), ("reason", "a\nb"), ("reason", b"\xff"), ("at", 2**60), ("at", "now"), ("state", 1)],
)
async def test_a_row_that_tells_of_no_hold_gets_nothing_signed(
    service: Service, name: str, value: object
) -> None:
    await holding(service).place(DEFAULT, DIGEST, "an audit")
    change(service.folder / "data", f"UPDATE hold_event SET {name} = ?", value)  # noqa: S608  # our own names
    await asked(service)
    assert kept(service) == []


async def test_bytes_that_are_there_are_never_signed_as_gone(service: Service) -> None:
    async with service.client() as client:
        step = await built(service, client, SECRET)
        await decided(service, a_tombstone(SECRET))
        await decided(service, a_tombstone(SECRET, barred=False))
        await asked(service)
        assert kept(service) == []
        assert (await client.get(f"/v1/blobs/{DIGEST}")).status_code in {200, 410}
        assert (await client.get(step.url)).json()["state"] == "signed"


async def test_no_route_says_of_bytes_that_they_are_gone_or_held(service: Service) -> None:
    async with service.client() as client:
        await upload(client, SECRET)
        for path in ("/predicates/tombstone/v1", "/predicates/hold/v1", f"/v1/holds/{DIGEST}"):
            for method in ("POST", "PUT", "DELETE"):
                assert (await client.request(method, path, json={})).status_code in {404, 405}
    await asked(service)
    assert kept(service) == []


# What follows is planted in the bucket.


def _moved(path: Path, to: Key, service: Service) -> None:
    plant(service, to, path.read_bytes())


async def believed(service: Service) -> tuple[Any, ...]:
    """What the index has of the removal and the hold of the secret."""
    async with service.database.reading() as connection:
        found = await removals.find(connection, DEFAULT, BLOB, DIGEST)
        return found.generation, found.barred, await removals.is_held(connection, DEFAULT, DIGEST)


async def purged_and_held(service: Service) -> None:
    """An honest purge and an honest hold."""
    await journal_tokens(service)
    await removed_for_good(service, SECRET, 2)
    await holding(service).place(DEFAULT, DIGEST, "an audit")
    assert await service.sign_decisions() == 1


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_removal_or_hold_by_another_key_does_not_count(
    service: Service, fresh: Service, tmp_path: Path, trusted: bool
) -> None:
    await purged_and_held(service)
    attacker = LocalSigner.open_or_create(tmp_path / "attacker" / "key.pem")
    lifted = await holding(service).lift(DEFAULT, DIGEST, "planted")
    unbarred = a_tombstone(SECRET, 3, barred=False, reason="lifted", detail=None)
    signer = service.signer if trusted else attacker
    forged = [
        plant(service, layout.hold(lifted.word.name), signed(lifted.word, signer)),
        plant(service, layout.tombstone(unbarred.name), signed(unbarred, signer)),
    ]
    report = await reindex(fresh)
    if trusted:  # the same objects, but by the key that counts: this is what was to be forged
        assert await believed(fresh) == (3, False, False)
        return
    assert {Path(one.key).name for one in report.quarantined} == {path.name for path in forged}
    assert {one.reason for one in report.quarantined} == {"not signed by enough of the trusted keys"}
    assert await believed(fresh) == (2, True, True)


async def test_a_removal_or_hold_under_another_name_does_not_count(service: Service, fresh: Service) -> None:
    await purged_and_held(service)
    await removed_for_good(service, b"harmless", 1, barred=False, reason="unnamed", detail=None)
    lifted = await holding(service).place(DEFAULT, Digest.of(b"harmless"), "x")
    lifted = await holding(service).lift(DEFAULT, Digest.of(b"harmless"), "x")
    await service.sign_decisions()
    harmless = objects(service) / str(layout.tombstone(a_tombstone(b"harmless").name))
    word = objects(service) / str(layout.hold(lifted.word.name))
    good = objects(service) / str(layout.tombstone(a_tombstone(SECRET, 2).name))
    planted = [
        (harmless, layout.tombstone(a_tombstone(SECRET, 3).name)),  # of another digest
        (good, layout.tombstone(a_tombstone(SECRET, 9).name)),  # of an older generation
        (good, layout.tombstone(a_tombstone(SECRET, 2, project="other").name)),  # of another project
        (good, layout.tombstone(a_tombstone(SECRET, 2, kind="tree").name)),  # of another kind
        (word, Key(f"control/holds/default/{DIGEST.hex}/{lifted.word.name.event}.json")),
        (word, Key(f"control/holds/other/{Digest.of(b'harmless').hex}/{lifted.word.name.event}.json")),
        (good, Key(f"control/holds/default/{DIGEST.hex}/{EVENT}.json")),  # no hold at all
    ]
    for path, to in planted:
        _moved(path, to, service)
    report = await reindex(fresh)
    assert {one.key for one in report.quarantined} == {str(to) for _, to in planted}
    assert await believed(fresh) == (2, True, True)
    async with fresh.database.reading() as connection:
        barred = await decisions.barred(connection)
        assert not await removals.is_held(connection, "other", Digest.of(b"harmless"))
    assert barred == {(DEFAULT, BLOB, DIGEST.raw)}


async def test_names_that_are_none_and_objects_that_are_none_are_listed(
    service: Service, fresh: Service
) -> None:
    await purged_and_held(service)
    unbarred = a_tombstone(SECRET, 3, barred=False)
    bundle = signed(unbarred, service.signer)
    names = [
        Key(f"control/tombstones/default/blob/{DIGEST.hex}/3.json"),
        Key(f"control/tombstones/default/pack/{DIGEST.hex}/00000003.json"),
        Key("control/tombstones/readme"),
        Key(f"control/holds/default/{DIGEST.hex}/x.json"),
        Key("control/policies/all.json"),
    ]
    for name in names:
        plant(service, name, bundle)
    contents = {
        3: b"",
        4: b"{}",
        5: bundle[:-1],
        6: bundle.replace(b'"tlogEntries":[]', b'"tlogEntries": []'),
        7: bundle.replace(b'"tlogEntries":[]', b'"tlogEntries":[{}]'),
        8: Bundle.of(sealed("text/plain", b"{}", service.signer)).to_bytes(),
        9: Bundle.of(sealed(PAYLOAD_TYPE, b"{}", service.signer)).to_bytes(),
    }
    planted = {
        layout.tombstone(a_tombstone(SECRET, number).name): content for number, content in contents.items()
    }
    for key, content in planted.items():
        plant(service, key, content)
    report = await reindex(fresh)
    assert {one.key for one in report.quarantined} == {*map(str, names), *map(str, planted)}
    assert await believed(fresh) == (2, True, True)


async def test_any_byte_of_a_purge_changed_is_noticed(service: Service, fresh: Service) -> None:
    await purged_and_held(service)
    for path in kept(service):
        good = path.read_bytes()
        envelope = Bundle.parse(good).envelope
        for at in range(0, len(envelope.payload), 37):
            other = bytearray(envelope.payload)
            other[at] ^= 1
            forged = Bundle.of(dsse.Envelope(PAYLOAD_TYPE, bytes(other), envelope.signatures)).to_bytes()
            plant(service, str(path.relative_to(objects(service))), forged)
            report = await reindex(fresh)
            assert [one.reason for one in report.quarantined] == ["not signed by enough of the trusted keys"]
        plant(service, str(path.relative_to(objects(service))), good)
    assert (await reindex(fresh)).clean
    assert await believed(fresh) == (2, True, True)


async def test_provenance_is_no_removal_and_a_removal_is_no_provenance(
    service: Service, fresh: Service
) -> None:
    await purged_and_held(service)
    async with service.client() as client:
        step = await built(service, client)
    (evidence,) = (objects(service) / "attestations").rglob("*.json")
    _moved(evidence, layout.tombstone(a_tombstone(SECRET, 5).name), service)
    for path in kept(service)[:1]:
        _moved(path, layout.attestation(Digest.of(path.read_bytes())), service)
    report = await reindex(fresh)
    assert len(report.quarantined) == 2
    assert await believed(fresh) == (2, True, True)
    async with fresh.client() as client:
        page = (await client.get(step.url)).json()
    assert [one["digest"][7:] for one in page["attestations"]] == [evidence.stem]


async def test_dropping_the_database_neither_undoes_a_purge_nor_a_hold(
    service: Service, fresh: Service
) -> None:
    """All that is left is the bucket, to which the bytes have come back."""
    await journal_tokens(service)
    async with service.client() as client:
        await upload(client, SECRET)
    await service.read_back()
    copy = service.folder / "copy"
    shutil.copytree(objects(service) / "projects", copy)
    await removed_for_good(service, SECRET, 2)
    await holding(service).place(DEFAULT, Digest.of(b"evidence"), "a court")
    await service.sign_decisions()
    shutil.copytree(copy, objects(service) / "projects", dirs_exist_ok=True, copy_function=_over)
    report = await reindex(fresh)
    assert {one.reason for one in report.quarantined} == {"it was purged, and lies there again"}
    async with fresh.client() as client:
        assert (await client.get(f"/v1/blobs/{DIGEST}")).status_code in NOT_SERVED
    async with fresh.database.reading() as connection:
        assert await decisions.barred(connection) == {(DEFAULT, BLOB, DIGEST.raw)}
        assert await removals.is_held(connection, DEFAULT, Digest.of(b"evidence"))


def _over(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    shutil.copy2(source, target)
