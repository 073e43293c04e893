"""Fixtures that many tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from artifacts.storage.s3 import Access, Bucket
from tests.ceph import PACKAGES, a_ceph_gateway, is_there
from tests.service import Service, a_service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A whole service over a fresh folder."""
    async with a_service(tmp_path) as built:
        yield built


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of project `default`."""
    async with service.client() as made:
        yield made


@pytest.fixture(scope="session")
def real_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A bucket of a real S3 server: the one that CUSTODY_TEST_S3_ENDPOINT names, or Ceph's, started here."""
    endpoint = os.environ.get("CUSTODY_TEST_S3_ENDPOINT")
    if endpoint is not None:
        yield Access(
            os.environ["CUSTODY_TEST_S3_BUCKET"],
            endpoint=endpoint,
            public_endpoint=endpoint,
            access_key=os.environ["CUSTODY_TEST_S3_ACCESS_KEY"],
            secret_key=os.environ["CUSTODY_TEST_S3_SECRET_KEY"],
        )
        return
    if not is_there():
        missing = f"there is no real S3 server: install {', '.join(PACKAGES)} or set CUSTODY_TEST_S3_ENDPOINT"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(f"WARNING: {missing}")
    with a_ceph_gateway(tmp_path_factory.mktemp("ceph")) as access:
        bucket = Bucket(access)
        asyncio.run(_made(bucket))
        bucket.close()
        yield access


async def _made(bucket: Bucket) -> None:
    await bucket.call("create_bucket")
