"""Vectors of other people's specifications: always run where they are, loudly left out where not.

In CI (`CI` is set) a missing folder fails every test that needs it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.implementations import BOTH, Implementation
from tests.conformance.vectors import IN_CI, MISSING, ROOT

_LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "foreign_vectors: needs vectors that are not in this repository (CUSTODY_VECTORS)"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if ROOT.is_dir() or IN_CI:
        return
    left_out = [item for item in items if item.get_closest_marker("foreign_vectors")]
    config.stash[_LEFT_OUT] = len(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"WARNING: {left_out} tests not run: {MISSING}", yellow=True)


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
