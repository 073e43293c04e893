"""A warm process for each file of trials."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.sweeps import Nursery, a_nursery


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """A process that has everything imported and prepared, from which trials are forked."""
    with a_nursery(tmp_path_factory.mktemp("nursery")) as ready:
        yield ready
