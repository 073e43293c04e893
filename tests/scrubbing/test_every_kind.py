"""Every kind of object, damaged in every way: found, named, and healed from a second store."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime
from itertools import product

from artifacts.digest import Digest
from artifacts.refusals import Refusal
from artifacts.refusals import write as refuse
from provenance.attest import BUILDER
from provenance.published_keys import publish
from provenance.signers.local import LocalSigner
from tests.attacks.actors import an_id
from tests.control import a_tombstone, decided
from tests.corruption.damage import CHANGES, REMOVED, SWAPPED, Folder, spoil
from tests.reindex.corpus import objects, recorded
from tests.scrubbing.bench import copied, keys, scrub
from tests.service import PUBLIC_URL, Service

KINDS = {
    "blobs": "projects/default/blobs/",
    "receipts of the api": "projects/default/receipts/api/",
    "receipts of workers": "projects/default/receipts/worker/",
    "receipts of trees": "projects/default/receipts/tree/",
    "manifests": "projects/default/trees/",
    "layouts": "projects/default/layouts/",
    "records": "projects/default/records/",
    "journal": "projects/default/journal/",
    "refusals": "projects/default/refusals/",
    "bundles": "attestations/",
    "keys": "control/keys/",
    "removals": "control/tombstones/",
}
UNCOUNTED = {"journal", "refusals", "keys", "removals"}
"""What the index does not miss."""
AT = datetime(2026, 11, 22, tzinfo=UTC)


async def filled(service: Service) -> Folder:
    """At least two objects of every kind; return where they lie."""
    await recorded(service)
    other = LocalSigner.open_or_create(service.folder / "keys" / "other.pem")
    for signer in (service.signer, other):
        await publish(service.store, signer.public_key, builder_id=PUBLIC_URL + BUILDER, at=AT)
    for reason in ("one", "two"):
        lying = Refusal("default", an_id(), Digest.of(reason.encode()), reason)
        await refuse(service.store, lying, at=AT)
        await decided(service, a_tombstone(reason.encode()))
    await service.sign_decisions()
    return Folder(objects(service))


async def test_what_is_whole_is_not_called_damaged(service: Service) -> None:
    place = await filled(service)
    report = await scrub(service)
    assert report.clean
    assert (report.damages, report.strangers) == ([], [])
    lying = [*place.names("projects/"), *place.names("attestations/"), *place.names("control/")]
    assert sum(report.counts.values()) == len(lying)
    assert report.bytes == sum(len(place.read(name)) for name in lying)
    assert set(report.counts) == {
        *("blobs", "receipts", "tree receipts", "manifests", "layouts", "segments", "journals"),
        *("refusals", "bundles", "control objects"),
    }


async def test_every_damage_to_every_kind_is_found_and_healed(service: Service) -> None:
    place = await filled(service)
    second = copied(service)
    names = [name for prefix in KINDS.values() for name in place.names(prefix)]
    good = {name: place.read(name) for name in names}
    chance = random.Random("damage")
    # A worker has its say about bytes that came back, so receipts have their turn apart from them.
    # And of what a damaged key signed the signature cannot be judged.
    first = {"blobs", "removals"}
    for way, kinds in product((*CHANGES, SWAPPED, REMOVED), (first, KINDS.keys() - first)):
        spoilt = {
            name
            for kind in sorted(kinds)
            if way != REMOVED or kind not in UNCOUNTED
            for name in _spoilt(place, chance, way, KINDS[kind])
        }
        before = {name: _read(place, name) for name in names}
        report = await scrub(service)
        assert keys(report) == spoilt, way
        assert {name: _read(place, name) for name in names} == before, "it was only looked at"
        report = await scrub(service, second=second, repair=True)
        assert keys(report) == spoilt
        assert {damage.healed for damage in report.damages} == {"from the second store"}
        assert report.clean
        assert {name: place.read(name) for name in names} == good
    assert (await scrub(service)).clean
    assert place.names("staging/") == Folder(service.folder / "second").names("staging/")


def _spoilt(place: Folder, chance: random.Random, way: str, prefix: str) -> set[str]:
    name, other = chance.sample(place.names(prefix), 2)
    before = place.read(name)
    spoil(place, chance, way, name, other)
    while _read(place, name) is not None and _alike(before, place.read(name)):
        place.write(name, before)
        spoil(place, chance, way, name, other)
    return {name, other} if way == SWAPPED else {name}


def _alike(before: bytes, after: bytes) -> bool:
    """Whether they differ in what no digest covers: another time, another reason; nothing rests on these."""
    return _LOOSE.sub(b"", before) == _LOOSE.sub(b"", after)


_LOOSE = re.compile(rb'"(hashed_at|refused_at|created_at|reason)":"[^"]*"')


def _read(place: Folder, name: str) -> bytes | None:
    try:
        return place.read(name)
    except FileNotFoundError:
        return None
