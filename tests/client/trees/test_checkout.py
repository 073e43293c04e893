"""`custody get` of a tree as a command: by several processes, and without a service once all is here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import seen

pytestmark = pytest.mark.slow

_TRACED = "import sys; from custody.__main__ import main; status = main(sys.argv[1:]); {}; sys.exit(status)"


def a_large_tree(shelf: Shelf, top: Path) -> str:
    """Put a tree on the shelf that is worth several processes, in many frames."""
    chance = random.Random(1)
    for number in range(40):
        (top / f"tree/pkg{number:02}").mkdir(parents=True)
        (top / f"tree/link{number:02}").symlink_to(f"pkg{number:02}")
    for number in range(1200):
        (top / f"tree/pkg{number % 40:02}/file{number:04}").write_bytes(chance.randbytes(2000))
    (top / "tree/empty").mkdir()
    (top / "tree/nothing").touch()
    return custody(shelf, top, "put", "tree").split()[0]


def custody(shelf: Shelf, top: Path, *arguments: str, code: str = "pass", url: str | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    own = {"HOME": str(top), "CUSTODY_NODE_STORE": str(top / "store")}
    return subprocess.run(
        [sys.executable, "-c", _TRACED.format(code), *arguments],
        env={**kept, **own, "CUSTODY_URL": shelf.url if url is None else url},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=top,
    ).stdout


def test_several_processes_write_one_tree(shelf: Shelf, tmp_path: Path) -> None:
    tree = a_large_tree(shelf, tmp_path)
    custody(shelf, tmp_path, "get", tree, "cold")
    assert seen(tmp_path / "cold") == seen(tmp_path / "tree")
    assert not [one for one in os.listdir(tmp_path) if "custody-" in one]


def test_a_tree_that_is_here_needs_no_service_and_loads_nothing_to_ask_one(
    shelf: Shelf, tmp_path: Path
) -> None:
    tree = a_large_tree(shelf, tmp_path)
    custody(shelf, tmp_path, "get", tree, "cold")
    shelf.asked.clear()
    code = "print(*(set(sys.modules) & {'http.client', 'socket', 'ssl', 'json', 'dataclasses'}))"
    loaded = custody(shelf, tmp_path, "get", tree, "warm", code=code)
    assert shelf.asked == []
    assert loaded.splitlines()[1:] == [""]
    custody(shelf, tmp_path, "get", tree, "alone", url="")
    assert seen(tmp_path / "tree") == seen(tmp_path / "warm") == seen(tmp_path / "alone")


def test_wrong_bytes_on_this_machine_are_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    tree = a_large_tree(shelf, tmp_path)
    custody(shelf, tmp_path, "get", tree, "cold")
    for kept in (tmp_path / "store" / "frames").rglob("*-*"):
        kept.write_bytes(bytes(kept.stat().st_size))
    custody(shelf, tmp_path, "get", tree, "again")
    assert seen(tmp_path / "tree") == seen(tmp_path / "again")


def test_wrong_bytes_of_the_service_leave_nothing(shelf: Shelf, tmp_path: Path) -> None:
    tree = a_large_tree(shelf, tmp_path)
    shelf.blobs.update({sha256: pack[:-9] + bytes(9) for sha256, pack in shelf.blobs.items()})
    with pytest.raises(subprocess.CalledProcessError) as caught:
        custody(shelf, tmp_path, "get", tree, "cold")
    assert caught.value.returncode == 1
    assert "are not what the manifest says" in caught.value.stderr
    assert not [one for one in os.listdir(tmp_path) if "cold" in one]
