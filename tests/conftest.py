"""Fixtures that many tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

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
