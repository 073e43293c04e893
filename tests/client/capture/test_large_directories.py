"""Directories of very many files: captured in pieces, compared as if in one, in little memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from custody.capture import scan as scanning
from custody.capture import statcache
from custody.capture.clock import LOCAL_MARGIN
from custody.capture.ignore import Ignore
from custody.capture.outputs import Snapshot, changed, snapshot
from custody.capture.statcache import StatCache


@pytest.fixture(params=[1, 3, 8, 1000])
def top(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scanning, "AT_ONCE", request.param)
    work = tmp_path / "work"
    for folder in ("", "a", "a/b", "a-b", "c", "\udcff"):
        (work / folder).mkdir(parents=True, exist_ok=True)
        for number in range(7):
            (work / folder / f"{number}").write_bytes(f"{folder} {number}".encode(errors="surrogateescape"))
    return work


def take(top: Path, cache: StatCache, before: Snapshot | None = None) -> Snapshot:
    return snapshot(top, ignore=Ignore(), cache=cache, before=before)


def disturb(top: Path, seed: int) -> set[str]:
    """Add, remove, move and write files; return the names of those that are new or different."""
    choose = random.Random(seed)
    names = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
    one, two, three, four, five = choose.sample(names, 5)
    (top / one).unlink()
    (top / two).write_bytes(b"different")
    (top / three).write_bytes((top / three).read_bytes())
    os.replace(top / four, top / five)
    (top / "0-new").write_bytes(b"new")
    (top / "a/new").write_bytes(b"new")
    return {two, five, "0-new", "a/new"}


@pytest.mark.parametrize("seed", range(5))
def test_what_changed_is_found_however_many_files_are_taken_at_once(top: Path, seed: int) -> None:
    before = take(top, StatCache())
    expected = disturb(top, seed)
    after = take(top, StatCache(), before)
    assert {one.name for one in changed(before, after)} == expected
    assert [one.name for one in changed(before, after)] == sorted(expected)
    assert len(after) == len(after.digests()) == 7 * 6 + 2 - 2
    assert list(changed(after, after)) == []


def test_the_snapshot_before_knows_what_the_cache_has_no_room_for(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statcache, "MAX_ENTRIES", 0)
    time.sleep(2 * LOCAL_MARGIN / 1e9)
    cache = StatCache()
    before = take(top, cache)
    (top / "0-new").write_bytes(b"new")
    (top / "a/b/new").write_bytes(b"new")
    after = take(top, cache, before)
    assert not cache.entries
    assert (before.hashed, after.hashed) == (7 * 6, 2)
    assert after.digests().items() >= before.digests().items()


def test_what_did_not_change_takes_no_memory_twice(top: Path) -> None:
    time.sleep(2 * LOCAL_MARGIN / 1e9)
    cache = StatCache()
    before = take(top, cache)
    after = take(top, cache, before)
    assert all(one is other for one, other in zip(before.batches, after.batches, strict=True))


def test_a_full_cache_forgets_what_is_no_longer_there(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statcache, "MAX_ENTRIES", 7 * 6)
    time.sleep(2 * LOCAL_MARGIN / 1e9)
    cache = StatCache()
    take(top, cache)
    for path in (top / "c").iterdir():
        path.write_bytes(b"different")
    time.sleep(2 * LOCAL_MARGIN / 1e9)
    take(top, cache)
    assert len(cache.entries) == 7 * 6
    assert take(top, cache).hashed == 0


_COMMAND = """
import sys
from pathlib import Path
from custody.capture.ignore import Ignore
from custody.capture.outputs import changed, snapshot
from custody.capture.statcache import StatCache

root, count = Path(sys.argv[1], "work"), 100_000
for start in range(0, count, 1000):
    (root / f"d{start:06}").mkdir(parents=True)
    for number in range(start, start + 1000):
        (root / f"d{start:06}" / f"file-number-{number}").touch()
cache = StatCache(clock=Clock())
before = snapshot(root, ignore=Ignore(), cache=cache)
for folder in root.iterdir():
    (folder / "new").write_bytes(b"new")
after = snapshot(root, ignore=Ignore(), cache=cache, before=before)
assert len(changed(before, after)) == 100
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
_NO_CLOCK = """
class Clock:
    def read(self, directory):
        return None
"""


@pytest.mark.slow
def test_a_hundred_thousand_files_are_compared_in_little_memory(tmp_path: Path) -> None:
    # Without a clock nothing is remembered, so this is the memory of the snapshots alone.
    done = subprocess.run(
        [sys.executable, "-c", _NO_CLOCK + _COMMAND, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    # 56 when this was written; with a Python object for each name, identity and digest 109.
    assert int(done.stdout) < 75, done.stdout
