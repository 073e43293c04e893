"""Every back end, for whatever all of them must keep."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.storage.directory import DirectoryStore
from artifacts.storage.protocol import ObjectStore
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_store import S3Store
from tests.fakes.s3.server import a_fake_s3
from tests.s3 import store_over
from tests.versity import NotBuiltError, a_versity_gateway

_REAL = {"ceph": "real_bucket", "versity": "versity_bucket"}
STORES = ["directory", "fake_s3", *(pytest.param(name, marks=pytest.mark.slow) for name in _REAL)]


@pytest.fixture(scope="session")
def versity_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """A bucket of VersityGW, made with object lock."""
    try:
        with a_versity_gateway(tmp_path_factory.mktemp("versity")) as access:
            bucket = Bucket(access)
            asyncio.run(_made(bucket))
            bucket.close()
            yield access
    except NotBuiltError as error:
        missing = f"only one real S3 server is tried: {error}"
        if "CI" in os.environ:
            pytest.fail(missing)
        pytest.skip(f"WARNING: {missing}")


async def _made(bucket: Bucket) -> None:
    await bucket.call("create_bucket", ObjectLockEnabledForBucket=True)


@pytest.fixture(params=STORES)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    """Each back end in turn; `ceph` is the server that CUSTODY_TEST_S3_ENDPOINT names, if it names one."""
    if request.param == "directory":
        made = DirectoryStore(tmp_path / "objects")
        yield made
        made.close()
        return
    if request.param == "fake_s3":
        with a_fake_s3(page=3) as fake:
            kept = store_over(fake)
            yield kept
            kept.close()
        return
    real = request.getfixturevalue(_REAL[request.param])
    kept = S3Store(Bucket(real), prefix=f"contract-{secrets.token_hex(6)}")
    yield kept
    kept.close()
