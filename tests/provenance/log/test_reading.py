"""Questions about a log that is not there."""

from __future__ import annotations

from typing import cast

import pytest

from artifacts.errors import NotFoundError
from artifacts.storage.protocol import ObjectStore
from provenance.log.reading import LogReader
from tests.provenance.log.memory import Lying
from tests.service import Service


async def test_before_anything_is_logged_there_is_no_checkpoint(service: Service) -> None:
    reader = LogReader(service.database, cast("ObjectStore", Lying()))
    with pytest.raises(NotFoundError, match="nothing was logged"):
        await reader.note()
