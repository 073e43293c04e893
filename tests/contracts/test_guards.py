"""Encryption and object lock reach every way an object is written, and nothing that is to go again."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from artifacts import layout
from artifacts.errors import UnavailableError
from artifacts.layout import Key
from artifacts.storage.checkup import Verdict
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_multipart import Guard
from artifacts.storage.s3_store import S3Store
from tests.artifacts.test_checkup import bad, examined
from tests.contracts.test_object_store import chunks
from tests.fakes.s3.server import a_fake_s3
from tests.s3 import access_to

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MIB = 1 << 20
UPLOAD = "01K00000000000000000000000"
LOCKED = Guard(lock_days=1)
ENCRYPTED = Guard("aws:kms", "custody-key")


async def write_every_way(store: S3Store) -> list[Key]:
    """Publish by every path there is; parts and joined parts stay behind."""
    published = []
    for number, size in enumerate([10, 2 * MIB, 9 * MIB, 12 * MIB]):
        for way in (store.promote, store.replace):
            key = Key(f"projects/default/{number}-{way.__name__}")
            await way(await store.stage(chunks(secrets.token_bytes(size)), at=NOW, limit=size), key)
            published.append(key)
    await store.put(Key("projects/default/put"), b"content")
    parts = [layout.part(UPLOAD, number) for number in (1, 2)]
    await store.put(parts[0], bytes(5 * MIB))
    await store.promote(await store.stage(chunks(bytes(2 * MIB)), at=NOW, limit=2 * MIB), parts[1])
    for some in (parts, parts[:1]):
        key = Key(f"projects/default/joined-{len(some)}")
        await store.promote(await store.assemble(some, at=NOW), key)
        published.append(key)
        await store.assemble(some, at=NOW)
    return [*published, Key("projects/default/put")]


async def test_what_is_published_is_encrypted_and_locked_and_the_rest_is_encrypted() -> None:
    with a_fake_s3(locks=True) as fake:
        guard = Guard("aws:kms", "custody-key", "COMPLIANCE", 3)
        store = S3Store(Bucket(access_to(fake)), guard=guard, copy_part=5 * MIB)
        published = await write_every_way(store)
        await store.stage(chunks(bytes(2 * MIB)), at=NOW, limit=2 * MIB)
        await store.stage(chunks(bytes(9 * MIB)), at=NOW, limit=9 * MIB)
        assert len(fake.shelf.objects) == len(published) + 6
        for name, kept in fake.shelf.objects.items():
            assert kept.headers["x-amz-server-side-encryption"] == "aws:kms", name
            assert kept.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "custody-key", name
            passing = name.startswith(("staging/", "joined/"))
            assert kept.headers.get("x-amz-object-lock-mode") == (None if passing else "COMPLIANCE"), name
            if not passing:
                until = datetime.fromisoformat(kept.headers["x-amz-object-lock-retain-until-date"])
                assert abs(until - datetime.now(UTC) - timedelta(days=3)) < timedelta(hours=1)
        store.close()


async def test_a_lock_in_a_bucket_without_one_is_refused_and_nothing_is_acknowledged() -> None:
    with a_fake_s3() as fake:
        store = S3Store(Bucket(access_to(fake)), guard=LOCKED)
        with pytest.raises(UnavailableError):
            await store.put(Key("projects/default/put"), b"content")
        assert fake.shelf.objects == {}
        store.close()


@pytest.fixture(params=["real_bucket", "versity_bucket"])
def access(request: pytest.FixtureRequest) -> Access:
    """Each real server."""
    given: Access = request.getfixturevalue(request.param)
    return replace(given, bucket=f"custody-{secrets.token_hex(6)}")


@pytest.mark.slow
async def test_a_real_server_keeps_what_was_locked(access: Access) -> None:
    bucket = Bucket(access)
    await bucket.call("create_bucket", ObjectLockEnabledForBucket=True)
    store = S3Store(bucket, guard=LOCKED, copy_part=5 * MIB)
    for key in await write_every_way(store):
        name = store.name_of(key)
        kept = (await bucket.call("get_object_retention", Key=name))["Retention"]
        assert kept["Mode"] == "GOVERNANCE", key
        assert kept["RetainUntilDate"] > datetime.now(UTC) + timedelta(hours=23)
        version = (await bucket.call("head_object", Key=name))["VersionId"]
        with pytest.raises(UnavailableError):
            await bucket.call("delete_object", once=True, Key=name, VersionId=version)
    async for listed in store.list("staging/"):
        await store.delete(listed.key)
    async for listed in store.list("joined/"):
        await store.delete(listed.key)
    assert [one async for one in store.list("staging/")] == []
    store.close()


@pytest.mark.slow
@pytest.mark.skipif(
    "CUSTODY_TEST_S3_ENDPOINT" in os.environ, reason="the server that it names need not be Ceph's"
)
async def test_doctor_finds_out_that_ceph_encrypts_and_then_does_not_copy(real_bucket: Access) -> None:
    store = S3Store(Bucket(real_bucket), prefix=f"kms-{secrets.token_hex(6)}", guard=ENCRYPTED)
    found = await examined(store)
    assert found["encryption"].said == "objects are encrypted by the store (aws:kms)"
    assert bad(found) == {"large objects"}
    store.close()


@pytest.mark.slow
async def test_doctor_finds_out_that_versity_does_not_encrypt(versity_bucket: Access) -> None:
    store = S3Store(Bucket(versity_bucket), prefix=f"kms-{secrets.token_hex(6)}", guard=ENCRYPTED)
    assert bad(await examined(store)) == {"encryption"}
    store.close()


@pytest.mark.slow
async def test_doctor_finds_nothing_wrong_with_versity(versity_bucket: Access) -> None:
    store = S3Store(Bucket(versity_bucket), prefix=f"doctor-{secrets.token_hex(6)}", guard=LOCKED)
    found = await examined(store)
    notes = {name for name, finding in found.items() if finding.verdict is Verdict.NOTE}
    assert (bad(found), notes) == (set(), {"encryption"})
    store.close()
