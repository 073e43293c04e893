"""A peer with trees on its shelf, and a canary beside every place that is written to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.trees.tree_peer import PART, Shelf, tree_peer


@pytest.fixture(scope="module")
def running() -> Iterator[Shelf]:
    with tree_peer() as shelf:
        yield shelf


@pytest.fixture
def shelf(running: Shelf) -> Shelf:
    """An empty shelf."""
    for kept in (running.blobs, running.manifests, running.layouts, running.places, running.uploads):
        kept.clear()
    running.asked.clear()
    running.refused_parts.clear()
    running.break_off, running.part_size = 0, PART
    return running


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Path]:
    """A directory to restore into, beside a canary that nothing may touch."""
    canary = tmp_path / "canary"
    canary.write_bytes(b"alive")
    before = canary.stat()
    place = tmp_path / "yard"
    place.mkdir()
    yield place
    after = canary.stat()
    assert canary.read_bytes() == b"alive"
    assert (before.st_ino, before.st_mtime_ns, before.st_mode) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_mode,
    )
    assert sorted(one.name for one in tmp_path.iterdir() if one.name != "store") == ["canary", "yard"]
