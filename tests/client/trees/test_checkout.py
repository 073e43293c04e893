"""`custody get` of a tree as a command: by several processes, and without a service once all is here."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from custody.transport import Transport
from custody.trees.forks import side_by_side
from custody.trees.remote import TreeService
from custody.trees.restore import Options, Progress, restore
from custody.trees.source import Source
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import HASTY, seen

# Other threads of the process that runs the tests do nothing that the forks need.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

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
    # Measuring coverage loads what is asked for below.
    foreign = ("CUSTODY_",) if code == "pass" else ("CUSTODY_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
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


def test_an_interrupt_ends_all_processes_and_leaves_nothing(shelf: Shelf, tmp_path: Path) -> None:
    tree = a_large_tree(shelf, tmp_path)
    custody(shelf, tmp_path, "get", tree, "before")
    # Stops where both processes are at work, and tells so.
    code = (
        "import os, sys, time\n"
        "from custody.trees import crew\n"
        "def slow(self):\n"
        '    os.write(1, b"%d\\n" % os.getpid())\n'
        "    time.sleep(60)\n"
        "crew.Tickets.draw = slow\n"
        "from custody.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    env = {**os.environ, "HOME": str(tmp_path), "CUSTODY_NODE_STORE": str(tmp_path / "store")}
    command = [sys.executable, "-c", code, "get", tree, "cold"]
    with subprocess.Popen(
        command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        at_work = {int(running.stdout.readline()) for _ in range(min(2, os.cpu_count() or 1))}
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said.strip()) == (130, "custody: interrupted")
    assert not [pid for pid in at_work if Path(f"/proc/{pid}").exists()]
    assert not [one for one in os.listdir(tmp_path) if "cold" in one]


def test_the_bar_counts_what_all_processes_write() -> None:
    shown: list[tuple[int, int]] = []
    progress = Progress(10, lambda done, total: shown.append((done, total)))
    reader, writer = os.pipe()

    def write(number: int) -> None:
        progress.number = number
        if number:
            progress.add(3)
            progress.add(1)
            os.write(writer, b"x")
        else:
            os.read(reader, 1)
            progress.add(5)
            progress.add(9)

    side_by_side(write, lambda _: None, 2)
    os.close(reader)
    os.close(writer)
    assert shown == [(9, 10), (10, 10)]


def test_the_bar_of_a_tree_reaches_its_end(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"content")
    tree = custody(shelf, tmp_path, "put", "tree").split()[0]
    shown: list[tuple[int, int]] = []
    source = Source(lambda: TreeService(Transport(shelf.url, None, patience=HASTY)), None)
    try:
        manifest = source.manifest(tree.partition(":")[2])
        target, options = str(tmp_path / "out"), Options()
        restore(source, manifest, target, options, advance=lambda done, total: shown.append((done, total)))
    finally:
        source.close()
    assert shown[-1] == (7, 7)
