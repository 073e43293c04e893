"""What the S3 store does beside the contract: what servers lack, get wrong, or share with others."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, UnavailableError
from artifacts.layout import Key
from artifacts.storage.s3 import Bucket
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.faults import Fault
from tests.fakes.s3.messages import Answer, RefusedError, Request
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.fakes.s3.shelf import Stored, etag
from tests.s3 import access_to, store_over

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MIB = 1 << 20
KEY = Key("projects/default/one")


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    with a_fake_s3(page=2) as made:
        yield made


@pytest.fixture
def store(fake: FakeS3) -> Iterator[S3Store]:
    made = store_over(fake)
    yield made
    made.close()


async def stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def keep(store: S3Store, content: bytes) -> None:
    """Stage and publish."""
    await store.promote(await store.stage(stream(content), at=NOW, limit=len(content)), KEY)


def replaced(fake: FakeS3, name: str, content: bytes) -> None:
    """Let somebody else with access to the bucket replace an object."""
    fake.shelf.objects[name] = Stored(content, etag(content), datetime.now(UTC))


async def test_a_large_object_is_copied_in_ranges(fake: FakeS3) -> None:
    store = S3Store(Bucket(access_to(fake)), copy_part=5 * MIB)
    content = secrets.token_bytes(12 * MIB)
    staged = await store.stage(stream(content), at=NOW, limit=len(content))
    await store.promote(staged, KEY)
    assert fake.shelf.objects[str(KEY)].content == content
    assert fake.seen.count("UploadPartCopy") == 3
    store.close()


@pytest.mark.parametrize("copy_part", [5 * MIB, 256 * MIB])
async def test_what_was_replaced_after_it_was_hashed_is_not_published(fake: FakeS3, copy_part: int) -> None:
    store = S3Store(Bucket(access_to(fake)), copy_part=copy_part)
    staged = await store.stage(stream(bytes(12 * MIB)), at=NOW, limit=12 * MIB)
    replaced(fake, str(staged.key), secrets.token_bytes(12 * MIB))
    with pytest.raises(CorruptedError):
        await store.promote(staged, KEY)
    assert str(KEY) not in fake.shelf.objects
    assert fake.shelf.uploads == {}
    store.close()


async def test_a_server_that_knows_no_conditions_is_used_without(fake: FakeS3, store: S3Store) -> None:
    strict = fake.serve

    def serve(request: Request) -> Answer:
        if "if-none-match" in request.headers:
            return RefusedError("NotImplemented", 501).answer
        return strict(request)

    fake.serve = serve  # type: ignore[method-assign]  # the fake is ours, and this is what it lacks here
    for number in range(3):
        await store.put(Key(f"projects/{number}"), b"content")
    assert len(fake.shelf.objects) == 3
    assert fake.seen.count("PutObject") == 4, "it was asked for once and never again"


def _taking_every_name_for_known(fake: FakeS3) -> None:
    strict = fake.serve

    def serve(request: Request) -> Answer:
        if "if-none-match" in request.headers:
            return RefusedError("PreconditionFailed", 412).answer
        return strict(request)

    fake.serve = serve  # type: ignore[method-assign]  # the fake is ours, and this is how it errs here


async def test_a_server_that_takes_the_trace_of_a_deleted_object_for_one_is_asked_without_condition(
    fake: FakeS3, store: S3Store
) -> None:
    _taking_every_name_for_known(fake)
    await store.put(KEY, b"content")
    assert await store.read(KEY) == b"content"


async def test_nothing_is_acknowledged_that_such_a_server_never_shows(fake: FakeS3, store: S3Store) -> None:
    _taking_every_name_for_known(fake)
    fake.faults.add("HeadObject", Fault.STALE_404, times=1000)
    with pytest.raises(UnavailableError):
        await store.put(KEY, b"content")


@pytest.mark.parametrize("copy_part", [5 * MIB, 256 * MIB])
async def test_a_copy_that_stays_short_is_not_acknowledged_and_takes_nothing_away(
    fake: FakeS3, copy_part: int
) -> None:
    store = S3Store(Bucket(access_to(fake)), copy_part=copy_part)
    content = secrets.token_bytes(12 * MIB)
    staged = await store.stage(stream(content), at=NOW, limit=12 * MIB)
    strict, deleted = fake.serve, []

    def serve(request: Request) -> Answer:
        answer = strict(request)
        if request.key == str(KEY) and request.method in {"PUT", "POST"} and str(KEY) in fake.shelf.objects:
            replaced(fake, str(KEY), content[:-1])
        deleted.extend([request.key] if request.method == "DELETE" else [])
        return answer

    fake.serve = serve  # type: ignore[method-assign]  # the fake answers otherwise here
    with pytest.raises(UnavailableError, match="other lengths"):
        await store.promote(staged, KEY)
    assert str(KEY) not in deleted
    fake.serve = strict  # type: ignore[method-assign]  # the fake answers otherwise here
    await store.replace(staged, KEY)
    assert fake.shelf.objects[str(KEY)].content == content
    store.close()


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [(Fault.FULL, "no room", "quota"), (Fault.FORBIDDEN, "refuses the service", "policy")],
)
@pytest.mark.parametrize("size", [10, 2 * MIB, 20 * MIB])
async def test_a_bucket_that_is_full_or_denies_says_what_to_do(
    fake: FakeS3, store: S3Store, size: int, fault: Fault, message: str, hint: str
) -> None:
    fake.faults.add("UploadPart" if size > 8 * MIB else "PutObject", fault, times=1000)
    with pytest.raises(UnavailableError, match=message) as told:
        await keep(store, bytes(size))
    assert hint in str(told.value.hint)
    assert (fake.shelf.objects, fake.shelf.uploads) == ({}, {})


async def test_a_bucket_that_is_not_there_says_what_to_do(fake: FakeS3) -> None:
    store = S3Store(Bucket(replace(access_to(fake), bucket="absent")))
    with pytest.raises(UnavailableError, match="no such bucket") as told:
        await store.put(KEY, b"content")
    assert "CUSTODY_STORE_URL" in str(told.value.hint)
    store.close()


async def test_an_object_that_was_damaged_is_not_given_out(fake: FakeS3, store: S3Store) -> None:
    await store.put(KEY, b"what was written")
    kept = fake.shelf.objects[f"service/{KEY}"]
    fake.shelf.objects[f"service/{KEY}"] = Stored(b"what was Written", kept.etag, NOW, kept.headers)
    with pytest.raises(CorruptedError):
        await store.read(KEY)


async def test_a_bit_that_flips_on_the_way_is_noticed_and_read_again(fake: FakeS3, store: S3Store) -> None:
    await store.put(KEY, b"what was written")
    fake.faults.add("GetObject", Fault.BIT_FLIP)
    assert await store.read(KEY) == b"what was written"


async def test_an_object_that_is_replaced_while_it_is_read_is_given_up(fake: FakeS3, store: S3Store) -> None:
    await store.put(KEY, secrets.token_bytes(3 * MIB))
    fake.faults.add("GetObject", Fault.TRUNCATED)
    reading = store.open(KEY)
    await anext(reading)
    replaced(fake, f"service/{KEY}", secrets.token_bytes(3 * MIB))
    with pytest.raises(CorruptedError):
        async for _ in reading:
            pass


async def test_a_download_goes_on_where_it_broke(fake: FakeS3, store: S3Store) -> None:
    content = secrets.token_bytes(8 * MIB)
    await store.put(KEY, content)
    fake.faults.add("GetObject", Fault.TRUNCATED, times=2)
    assert b"".join([piece async for piece in store.open(KEY)]) == content
    assert fake.seen.count("GetObject") == 3


async def test_a_list_that_never_ends_is_given_up(fake: FakeS3, store: S3Store) -> None:
    for number in range(5):
        await store.put(Key(f"listed/{number}"), b"x")
    fake.faults.add("ListObjectsV2", Fault.REPEATED_PAGE, times=1000)
    with pytest.raises(UnavailableError):
        assert [one async for one in store.list("listed/")] == []


async def test_objects_of_others_are_not_listed(fake: FakeS3, store: S3Store) -> None:
    await store.put(KEY, b"ours")
    for name in ("service/not a key", "service/..", "service-other/one", "other"):
        replaced(fake, name, b"theirs")
    assert [one.key async for one in store.list("")] == [KEY]


async def test_writes_that_a_crash_left_are_ended_and_younger_ones_are_not(
    fake: FakeS3, store: S3Store
) -> None:
    await store.bucket.call("create_multipart_upload", Key=f"service/{layout.staging('01K' + '0' * 23)}")
    await store.bucket.call("create_multipart_upload", Key="elsewhere/staging/one")
    assert await store.forget_unfinished(before=datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert await store.forget_unfinished(before=datetime(2100, 1, 1, tzinfo=UTC)) == 1
    assert [one.key for one in fake.shelf.uploads.values()] == ["elsewhere/staging/one"]


async def test_a_lost_answer_to_the_end_of_an_upload_is_no_loss(fake: FakeS3, store: S3Store) -> None:
    content = secrets.token_bytes(9 * MIB)
    fake.faults.add("CompleteMultipartUpload", Fault.LOST_ANSWER)
    staged = await store.stage(stream(content), at=NOW, limit=len(content))
    assert staged.digest == Digest.of(content)
    await store.promote(staged, KEY)
    assert fake.shelf.objects[f"service/{KEY}"].content == content
