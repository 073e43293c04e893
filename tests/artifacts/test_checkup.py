"""What `doctor` finds in stores that are as they must be, and in stores that are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.storage import checkup
from artifacts.storage.checkup import Finding, Verdict
from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_checkup import BucketCheckup
from artifacts.storage.s3_multipart import Guard
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.faults import Fault
from tests.fakes.s3.messages import Answer, RefusedError, Request
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.s3 import store_over


async def examined(store: ObjectStore) -> dict[str, Finding]:
    """All findings by the name of their check."""
    on = checkup.trial(store, at=datetime.now(UTC))
    checks = checkup.every_store(on)
    if isinstance(store, S3Store):
        checks = [*BucketCheckup(on, store).checks(), *checks]
    found = {finding.check: finding async for finding in checkup.run(checks)}
    await checkup.clean(on)
    return found


def bad(found: dict[str, Finding]) -> set[str]:
    """The names of checks that speak against the store."""
    return {name for name, finding in found.items() if finding.verdict is Verdict.BAD}


async def test_a_folder_passes_every_check_and_is_left_as_it_was(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "objects")
    found = await examined(store)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert [listed.key async for listed in store.list("")] == []
    store.close()


async def test_a_strict_bucket_passes_every_check_and_is_left_as_it_was() -> None:
    with a_fake_s3() as fake:
        store = store_over(fake)
        found = await examined(store)
        notes = {name for name, finding in found.items() if finding.verdict is Verdict.NOTE}
        assert (bad(found), notes) == (set(), {"encryption", "object lock"})
        assert (fake.shelf.objects, fake.shelf.uploads) == ({}, {})
        store.close()


@pytest.mark.slow
async def test_ceph_passes_every_check(real_bucket: Access) -> None:
    store = S3Store(Bucket(real_bucket), prefix="doctor")
    found = await examined(store)
    assert bad(found) == set()
    assert [listed.key async for listed in store.list("")] == []
    store.close()


def _open_to_all(fake: FakeS3) -> None:
    """Serve whoever asks."""
    signed = fake.serve

    def serve(request: Request) -> Answer:
        if "authorization" in request.headers or "X-Amz-Signature" in request.query:
            return signed(request)
        return fake.answer_unsigned(request)

    fake.serve = serve  # type: ignore[method-assign]  # the fake is ours, and this is how it breaks here


def _without_ranges(fake: FakeS3) -> None:
    """Give the whole object whatever range was asked for."""
    strict = fake.serve

    def serve(request: Request) -> Answer:
        answer = strict(request)
        if answer.status != 206:
            return answer
        plain = Request(request.method, request.path, request.query, {}, b"")
        return fake.answer_unsigned(plain)

    fake.serve = serve  # type: ignore[method-assign]  # the fake answers otherwise here


def _forgetful(fake: FakeS3) -> None:
    fake.faults.add("ListObjectsV2", Fault.STALE_404, times=1000)


def _refusing(fake: FakeS3) -> None:
    fake.faults.add("CompleteMultipartUpload", Fault.FORBIDDEN, times=1000)


def _flipping(fake: FakeS3) -> None:
    fake.faults.add("GetObject", Fault.BIT_FLIP, times=1000)


@pytest.mark.parametrize(
    ("break_it", "check"),
    [
        (_open_to_all, "strangers"),
        (_without_ranges, "ranges"),
        (_forgetful, "list after write"),
        (_refusing, "large objects"),
        (_refusing, "joined parts"),
        (_flipping, "round trip"),
    ],
)
async def test_a_store_that_is_not_as_it_must_be_is_found_out(
    break_it: Callable[[FakeS3], None], check: str
) -> None:
    with a_fake_s3() as fake:
        break_it(fake)
        store = store_over(fake)
        on = checkup.trial(store, at=datetime.now(UTC))
        checks = [*BucketCheckup(on, store).checks(), *checkup.every_store(on)]
        found = [finding async for finding in checkup.run([one for one in checks if one[0] == check])]
        assert [finding.verdict for finding in found] == [Verdict.BAD]
        store.close()


async def test_wrong_credentials_fail_every_check_and_no_word_tells_the_secret() -> None:
    with a_fake_s3() as fake:
        access = Access("custody-test", fake.endpoint, access_key="TESTKEY", secret_key="not-the-secret")
        store = S3Store(Bucket(access))
        on = checkup.trial(store, at=datetime.now(UTC))
        found = [finding async for finding in checkup.run(checkup.every_store(on))]
        assert {finding.verdict for finding in found} == {Verdict.BAD}
        assert "not-the-secret" not in repr((found, access, store))
        store.close()


async def test_a_lock_that_the_bucket_does_not_have_is_found_out() -> None:
    with a_fake_s3() as fake:
        store = store_over(fake, guard=Guard(lock_days=1))
        on = checkup.trial(store, at=datetime.now(UTC))
        checks = [one for one in BucketCheckup(on, store).checks() if one[0] == "object lock"]
        assert [finding.verdict async for finding in checkup.run(checks)] == [Verdict.BAD]
        store.close()


@pytest.mark.parametrize(
    ("code", "verdict", "said"),
    [
        ("BadDigest", Verdict.GOOD, "is refused (BadDigest)"),
        ("AccessDenied", Verdict.NOTE, "refused for another reason (AccessDenied)"),
        (None, Verdict.NOTE, "is accepted"),
    ],
)
async def test_a_refusal_counts_only_for_its_own_reason(
    code: str | None, verdict: Verdict, said: str
) -> None:
    with a_fake_s3() as fake:
        strict = fake.serve

        def serve(request: Request) -> Answer:
            if "content-md5" not in request.headers:
                return strict(request)
            return Answer() if code is None else RefusedError(code, 403).answer

        fake.serve = serve  # type: ignore[method-assign]  # the fake answers otherwise here
        store = store_over(fake)
        on = checkup.trial(store, at=datetime.now(UTC))
        checks = [one for one in BucketCheckup(on, store).checks() if one[0] == "md5 checksum"]
        (found,) = [finding async for finding in checkup.run(checks)]
        assert (found.verdict, said in found.said) == (verdict, True), found.said
        store.close()
