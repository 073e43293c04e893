"""The whole service over a bucket: three processes, one variable changed."""

from __future__ import annotations

import hashlib
import secrets
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.s3.faults import Fault
from tests.fakes.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, FakeS3, a_fake_s3
from tests.running_service import Running, parsed

pytestmark = pytest.mark.slow
STEP = "01M80000000000000000000000"


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    with a_fake_s3() as made:
        yield made


@pytest.fixture
def running(fake: FakeS3, tmp_path: Path) -> Iterator[Running]:
    """`custody-server serve` with its objects in the fake."""
    settings = {
        "CUSTODY_STORE_URL": f"s3://{BUCKET}/all",
        "CUSTODY_S3_ENDPOINT": fake.endpoint,
        "CUSTODY_S3_PUBLIC_ENDPOINT": fake.endpoint,
        "CUSTODY_S3_ACCESS_KEY": ACCESS_KEY,
        "CUSTODY_S3_SECRET_KEY": SECRET_KEY,
    }
    service = Running(tmp_path / "data", settings=settings)
    service.start()
    try:
        service.wait_ready(60)
        yield service
    finally:
        service.stop()


def sent_in_parts(running: Running, content: bytes) -> str:
    """Send `content` straight to the store and let a worker check it; give its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    body = {"size": len(content), "digest": digest}
    status, answer = running.ask("POST", "/v1/blobs/uploads?resumable=1", body)
    assert status == 201
    told = parsed(answer)
    for part in told["parts"]:
        start = (part["number"] - 1) * told["part_size"]
        piece = content[start : start + told["part_size"]]
        request = urllib.request.Request(part["url"], piece, {"Content-Type": ""}, method="PUT")  # noqa: S310  # our own fake
        urllib.request.urlopen(request).close()  # noqa: S310  # our own fake
    status, answer = running.ask("POST", f"/v1/blobs/uploads/{told['upload']}/complete?wait=20")
    assert (status, parsed(answer)["state"]) == (200, "present")
    return digest


def test_a_step_is_recorded_stored_and_signed_with_every_object_in_the_bucket(
    running: Running, fake: FakeS3
) -> None:
    content = secrets.token_bytes(17 << 20)
    digest = sent_in_parts(running, content)
    begun = {"id": STEP, "token_sha256": "0" * 64, "name": "train"}
    assert running.ask("POST", "/v1/steps", begun)[0] == 201
    assert running.ask("PUT", f"/v1/steps/{STEP}/outputs/model.txt", b"a model")[0] == 201
    outputs = {"outputs": [{"name": "data.bin", "digest": {"sha256": digest[7:]}}]}
    assert running.ask("POST", f"/v1/steps/{STEP}/outputs", outputs)[0] == 200
    status, answer = running.ask("POST", f"/v1/steps/{STEP}/finish?wait=20", {"outcome": "succeeded"})
    assert (status, parsed(answer)["state"]) == (200, "signed")
    assert running.ask("GET", f"/v1/blobs/{digest}") == (200, content)
    kinds = {key.split("/")[1] for key in fake.shelf.objects}
    assert {"projects", "attestations", "control"} <= kinds
    assert not any(path.is_file() for path in (running.folder / "objects").rglob("*"))


def test_a_store_that_goes_away_is_told_as_unavailable_and_its_return_is_noticed(
    running: Running, fake: FakeS3
) -> None:
    fake.faults.add("*", Fault.RESET_BEFORE_BODY, times=10_000)
    status, answer = running.ask("POST", "/v1/blobs/uploads", b"while it is away")
    assert (status, parsed(answer)["type"].partition("#")[2]) == (503, "unavailable")
    fake.faults.clear()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status, _ = running.ask("POST", "/v1/blobs/uploads", b"when it is back")
        if status == 201:
            return
        time.sleep(0.5)
    raise AssertionError("the service did not notice that the store is back")
