"""An empty index beside the one of the service, on the same kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.preparing import migrate
from api.settings import Settings
from tests.postgres import Cluster
from tests.reindex.corpus import without_its_index
from tests.service import Service


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
