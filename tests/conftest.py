"""Fixtures that many tests share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from api.preparing import migrate
from api.settings import Settings
from artifacts.storage.s3 import Access, Bucket
from tests.ceph import PACKAGES, a_ceph_gateway, is_there
from tests.postgres import Cluster, a_cluster
from tests.reindex.corpus import without_its_index
from tests.service import Service, a_service


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `both_databases` on SQLite and on PostgreSQL."""
    marked = metafunc.definition.get_closest_marker("both_databases") is not None
    if marked and "index" in metafunc.fixturenames:
        there = pytest.param("postgresql", marks=pytest.mark.slow)
        metafunc.parametrize("index", ["sqlite", there], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server that nobody stops; what survives a power cut is tested on others, with fsync."""
    with a_cluster(fsync="off") as cluster:
        yield cluster


@pytest.fixture
def index(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a fresh index on PostgreSQL, or None for SQLite."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield None
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    name = cluster.migrated()
    yield cluster.url(name)
    cluster.drop(name)


@pytest.fixture
async def service(tmp_path: Path, index: str | None) -> AsyncIterator[Service]:
    """A whole service over a fresh folder."""
    async with a_service(tmp_path, index=index) as built:
        yield built


@pytest.fixture
async def fresh(
    service: Service, tmp_path: Path, index: str | None, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    """`service` after its index was lost: the same bucket, key and clock over an empty index."""
    name = None
    if index is None:
        settings = Settings(data=tmp_path / "fresh")
        await migrate(settings)
        url = settings.index_url
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        name = cluster.migrated()
        url = cluster.url(name)
    async with without_its_index(service, url) as built:
        yield built
    if name is not None:
        cluster.drop(name)


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
