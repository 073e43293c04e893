"""S3 stores for tests: over the fake, and over a real server."""

from __future__ import annotations

from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_multipart import Guard
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.server import ACCESS_KEY, BUCKET, SECRET_KEY, FakeS3


def access_to(fake: FakeS3, *, impatient: bool = False) -> Access:
    """How to reach the fake; `impatient` gives up within a second."""
    seconds = 0.5 if impatient else 10.0
    return Access(
        BUCKET,
        endpoint=fake.endpoint,
        public_endpoint=fake.endpoint,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        connect_seconds=2 * seconds,
        read_seconds=seconds,
        attempts=3,
        pause_seconds=0.02 if not impatient else 0.05,
    )


def store_over(
    fake: FakeS3, *, prefix: str = "service", impatient: bool = False, guard: Guard | None = None
) -> S3Store:
    """A store over the fake."""
    return S3Store(Bucket(access_to(fake, impatient=impatient)), prefix=prefix, guard=guard)
