"""Vectors of other people's specifications: always run where they are, loudly left out where not.

In CI (`CI` is set) a missing folder fails every test that needs it. Elsewhere `-ra` prints
how many tests were left out, and why; this holds under xdist too, where a summary line of
our own would be lost with the worker that wrote it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.implementations import BOTH, Implementation
from tests.conformance.vectors import IN_CI, MISSING, ROOT


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "foreign_vectors: needs vectors that are not in this repository (CUSTODY_VECTORS)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if ROOT.is_dir() or IN_CI:
        return
    for item in items:
        if item.get_closest_marker("foreign_vectors"):
            item.add_marker(pytest.mark.skip(reason=f"WARNING: {MISSING}"))


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of vectors."""
    if not ROOT.is_dir():
        pytest.fail(MISSING)
    return ROOT


@pytest.fixture(params=BOTH, ids=str)
def side(request: pytest.FixtureRequest) -> Implementation:
    """The service's readers, then the client's."""
    side: Implementation = request.param
    return side
