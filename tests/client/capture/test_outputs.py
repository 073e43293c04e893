"""What a command made is told by content, with and without a cache."""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from custody.capture.clock import LOCAL_MARGIN, Tick, TouchClock
from custody.capture.errors import CaptureError
from custody.capture.ignore import Ignore
from custody.capture.outputs import Snapshot, changed, snapshot
from custody.capture.selection import Selection
from custody.capture.statcache import StatCache


@dataclass
class LateClock:
    """The real clock with the margin already over, so that a test need not wait for it."""

    ahead: int = 10 * LOCAL_MARGIN

    def read(self, directory: str) -> Tick | None:
        tick = TouchClock().read(directory)
        return tick and Tick(tick.device, tick.at + self.ahead, tick.margin)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    top = tmp_path / "work"
    (top / "src").mkdir(parents=True)
    (top / "src/a.c").write_bytes(b"int a;")
    (top / "README").write_bytes(b"read me")
    return top


def take(top: Path, cache: StatCache) -> Snapshot:
    return snapshot(top, ignore=Ignore(), cache=cache)


@pytest.fixture(params=["warm", "cold"])
def cache(request: pytest.FixtureRequest) -> StatCache:
    return StatCache(clock=LateClock() if request.param == "warm" else TouchClock())


def names(before: Snapshot, after: Snapshot) -> list[str]:
    return [output.name for output in changed(before, after)]


def test_new_and_changed_files_are_outputs_and_no_others(work: Path, cache: StatCache) -> None:
    before = take(work, cache)
    (work / "dist").mkdir()
    (work / "dist/app").write_bytes(b"built")
    (work / "README").write_bytes(b"read it")
    (work / ".env").write_bytes(b"SECRET=1")
    (work / "link").symlink_to("README")
    after = take(work, cache)
    outputs = list(changed(before, after))
    assert [output.name for output in outputs] == ["README", "dist/app"]
    assert outputs[1].digest == f"sha256:{hashlib.sha256(b'built').hexdigest()}"
    assert (outputs[1].size, outputs[1].stable, outputs[1].path) == (5, True, str(work / "dist/app"))
    assert outputs[1].wire.text == "dist/app"


def test_the_same_bytes_written_again_are_no_output(work: Path, cache: StatCache) -> None:
    before = take(work, cache)
    (work / "README").write_bytes(b"read me")
    os.utime(work / "src/a.c")
    os.chmod(work / "src/a.c", 0o700)
    (work / "copy").write_bytes(b"read me")
    os.replace(work / "copy", work / "README")
    assert names(before, take(work, cache)) == []


def test_an_edit_that_restores_size_and_time_is_found(work: Path, cache: StatCache) -> None:
    old = os.stat(work / "README")
    before = take(work, cache)
    time.sleep(2 * LOCAL_MARGIN / 1e9)
    (work / "README").write_bytes(b"read us")
    os.utime(work / "README", ns=(old.st_atime_ns, old.st_mtime_ns))
    after = take(work, cache)
    assert os.stat(work / "README").st_mtime_ns == old.st_mtime_ns
    assert names(before, after) == ["README"]


def test_an_edit_within_one_tick_of_the_clock_is_found(work: Path) -> None:
    cache = StatCache()
    for attempt in range(30):
        (work / "README").write_bytes(b"%08d" % attempt)
        old = os.stat(work / "README")
        before = take(work, cache)
        (work / "README").write_bytes(b"%08x" % (attempt + 5_000_000))
        os.utime(work / "README", ns=(old.st_atime_ns, old.st_mtime_ns))
        assert names(before, take(work, cache)) == ["README"]


def test_nothing_is_hashed_again_while_nothing_changes(work: Path) -> None:
    cache = StatCache(clock=LateClock())
    assert take(work, cache).hashed == 2
    assert take(work, cache).hashed == 0
    (work / "README").write_bytes(b"new")
    assert take(work, cache).hashed == 1


def test_a_cache_kept_between_runs_saves_the_hashing(work: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "cache/custody/x")
    (tmp_path / "cache").mkdir()
    first = StatCache.load(path, clock=LateClock())
    before = take(work, first)
    assert first.save(before.identities())
    second = StatCache.load(path)
    again = take(work, second)
    assert again.hashed == 0
    assert again.digests() == before.digests()
    assert names(before, again) == []


def test_a_deleted_file_is_no_output(work: Path, cache: StatCache) -> None:
    before = take(work, cache)
    os.unlink(work / "README")
    assert names(before, take(work, cache)) == []


def test_a_file_that_changes_meanwhile_is_an_output_and_said_to_be_unstable(work: Path) -> None:
    cache = StatCache(clock=LateClock())
    before = take(work, cache)
    (work / "log").write_bytes(b"1")

    def meddle(_done: int, _total: int) -> None:
        with (work / "log").open("ab") as stream:
            stream.write(b"2")

    after = snapshot(work, ignore=Ignore(), cache=cache, progress=meddle)
    assert [(output.name, output.stable) for output in changed(before, after)] == [("log", False)]
    assert len(cache.entries) == 2, "an unstable digest was remembered"


@dataclass
class MeddlingClock:
    """Exchanges files after they were listed and before they are hashed."""

    top: Path

    def read(self, _directory: str) -> Tick | None:
        os.unlink(self.top / "README")
        (self.top / "README").symlink_to("src/a.c")
        (self.top / "gone").unlink()
        return None


def test_a_file_that_cannot_be_read_is_reported_and_the_rest_captured(work: Path) -> None:
    (work / "gone").touch()
    found = take(work, StatCache(clock=MeddlingClock(work)))
    assert set(found.digests()) == {"src/a.c"}
    assert [unread.name for unread in found.unread] == ["README"]
    assert "link" in found.unread[0].reason


def test_what_could_not_be_read_before_is_an_output_after(work: Path) -> None:
    (work / "gone").touch()
    before = take(work, StatCache(clock=MeddlingClock(work)))
    os.unlink(work / "README")
    (work / "README").write_bytes(b"read me")
    assert names(before, take(work, StatCache())) == ["README"]


def test_progress_tells_how_much_of_how_much(work: Path) -> None:
    told: list[tuple[int, int]] = []
    snapshot(
        work, ignore=Ignore(), cache=StatCache(), progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (13, 13)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_only_the_names_asked_for_are_hashed(work: Path) -> None:
    selection = Selection(["src/**"], work)
    found = snapshot(work, ignore=Ignore(), cache=StatCache(), only=selection.wants)
    assert set(found.digests()) == {"src/a.c"}
    assert found.hashed == 1


@pytest.mark.parametrize(
    ("glob", "matched"),
    [
        ("*.c", []),
        ("**/*.c", ["src/a.c"]),
        ("src", ["src/a.c"]),
        ("./src/", ["src/a.c"]),
        ("src/*", ["src/a.c"]),
        ("**", ["README", "src/a.c"]),
        ("READ*", ["README"]),
        ("s?c/[a-b].c", ["src/a.c"]),
        ("read*", []),
    ],
)
def test_a_glob_selects_files_and_whole_directories(work: Path, glob: str, matched: list[str]) -> None:
    selection, found = Selection([glob], work), take(work, StatCache())
    if matched:
        assert [output.name for output in selection.select(found)] == matched
    else:
        with pytest.raises(CaptureError, match="no file matches"):
            selection.select(found)


def test_every_glob_without_a_match_is_named(work: Path) -> None:
    selection = Selection(["README", "dist/*.whl", "*.zip", str(work / "src")], work)
    with pytest.raises(CaptureError) as caught:
        selection.select(take(work, StatCache()))
    assert "dist/*.whl, *.zip" in str(caught.value)
    assert "README" not in str(caught.value)


@pytest.mark.parametrize("glob", ["../x", "a/../../x", "/etc/passwd", "", ".", "/"])
def test_a_glob_that_leads_out_is_refused(work: Path, glob: str) -> None:
    with pytest.raises(CaptureError):
        Selection([glob], work)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "absent", StatCache())
