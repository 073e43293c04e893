"""The stat cache believes a time stamp only where a later change could not have kept it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custody.capture.clock import LOCAL_MARGIN, NETWORK_MARGIN, Tick, TouchClock, is_network
from custody.capture.hashing import Hashed, hash_file
from custody.capture.identity import facts_of
from custody.capture.statcache import StatCache, cache_file, wanted


@dataclass
class FakeClock:
    """A file system's clock that a test sets."""

    now: int
    device: int
    margin: int = LOCAL_MARGIN
    readings: list[str] = field(default_factory=list)

    def read(self, directory: str) -> Tick | None:
        self.readings.append(directory)
        return Tick(self.device, self.now, self.margin)


@pytest.fixture
def hashed(tmp_path: Path) -> Hashed:
    path = tmp_path / "f"
    path.write_bytes(b"content")
    return hash_file(str(path))


@pytest.mark.parametrize(
    ("modified", "changed", "trusted"),
    [
        (-LOCAL_MARGIN - 1, -LOCAL_MARGIN - 1, True),
        (-LOCAL_MARGIN, -LOCAL_MARGIN - 1, False),
        (-LOCAL_MARGIN - 1, -LOCAL_MARGIN, False),
        (0, -(10**12), False),
        (10**12, -(10**12), False),
        (-(10**12), 10**12, False),
    ],
)
def test_both_times_must_lie_before_the_clock_by_the_margin(
    modified: int, changed: int, trusted: bool
) -> None:
    now = 10**18
    assert Tick(1, now, LOCAL_MARGIN).settled(1, now + modified, now + changed) is trusted


def test_another_device_has_another_clock() -> None:
    assert not Tick(1, 10**18, LOCAL_MARGIN).settled(2, 0, 0)


def test_a_young_file_is_remembered_only_once_it_is_old(hashed: Hashed) -> None:
    facts = facts_of(hashed.identity)
    clock = FakeClock(facts.changed_at + LOCAL_MARGIN, facts.device)
    cache = StatCache(clock=clock)
    assert not cache.remember(hashed, cache.tick("."))
    assert cache.entries == {}
    clock.now += 1
    assert cache.remember(hashed, cache.tick("."))
    assert cache.entries == {hashed.identity: hashed.raw}


def test_a_network_file_system_needs_a_wider_margin(hashed: Hashed) -> None:
    facts = facts_of(hashed.identity)
    clock = FakeClock(facts.changed_at + NETWORK_MARGIN, facts.device, NETWORK_MARGIN)
    cache = StatCache(clock=clock)
    assert not cache.remember(hashed, cache.tick("."))
    clock.now += 1
    assert cache.remember(hashed, cache.tick("."))


def test_without_a_clock_nothing_is_remembered(hashed: Hashed) -> None:
    assert not StatCache().remember(hashed, None)


def test_an_unstable_digest_is_never_remembered(hashed: Hashed) -> None:
    facts = facts_of(hashed.identity)
    unstable = Hashed(hashed.raw, hashed.size, False, hashed.identity)
    assert not StatCache().remember(unstable, Tick(facts.device, facts.changed_at + 10**12, LOCAL_MARGIN))


def filled(path: str, hashed: Hashed) -> StatCache:
    facts = facts_of(hashed.identity)
    cache = StatCache(path, clock=FakeClock(facts.changed_at + 10**12, facts.device))
    assert cache.remember(hashed, cache.tick("."))
    return cache


def test_what_is_saved_is_loaded_and_nobody_else_may_read_it(tmp_path: Path, hashed: Hashed) -> None:
    path = tmp_path / "cache/custody/statcache/x"
    (tmp_path / "cache").mkdir()
    cache = filled(str(path), hashed)
    assert cache.save([hashed.identity])
    assert not cache.save([hashed.identity]), "nothing new was written again"
    loaded = StatCache.load(str(path))
    assert loaded.entries == {hashed.identity: hashed.raw}
    assert not loaded.save([hashed.identity])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["x"]


def test_files_that_are_gone_are_forgotten(tmp_path: Path, hashed: Hashed) -> None:
    path = str(tmp_path / "custody/x")
    cache = filled(path, hashed)
    cache.save([hashed.identity])
    assert cache.save([])
    assert StatCache.load(path).entries == {}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_cache_is_an_empty_one(
    tmp_path: Path, hashed: Hashed, at: int, bit: int, cut: bool
) -> None:
    path = tmp_path / "custody/x"
    filled(str(path), hashed).save([hashed.identity])
    content = bytearray(path.read_bytes())
    at %= len(content)
    content = content[:at] if cut else content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
    path.write_bytes(content)
    assert StatCache.load(str(path)).entries == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_file_is_read_without_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    path.chmod(0o600)
    assert StatCache.load(str(path)).entries == {}


def test_a_cache_that_others_could_have_written_is_not_believed(tmp_path: Path, hashed: Hashed) -> None:
    path = tmp_path / "custody/x"
    filled(str(path), hashed).save([hashed.identity])
    path.chmod(0o660)
    assert StatCache.load(str(path)).entries == {}
    path.chmod(0o600)
    (tmp_path / "link").symlink_to(path)
    assert StatCache.load(str(tmp_path / "link")).entries == {}
    os.mkfifo(tmp_path / "pipe")
    assert StatCache.load(str(tmp_path / "pipe")).entries == {}


def test_a_cache_of_another_owner_is_not_believed(tmp_path: Path, hashed: Hashed) -> None:
    path = tmp_path / "custody/x"
    filled(str(path), hashed).save([hashed.identity])
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        assert StatCache.load(str(path)).entries == {}
    else:
        assert StatCache.load(str(path)).entries != {}


def test_a_folder_open_to_others_gets_no_cache(tmp_path: Path, hashed: Hashed) -> None:
    folder = tmp_path / "custody"
    folder.mkdir()
    folder.chmod(0o777)
    assert not filled(str(folder / "x"), hashed).save([hashed.identity])
    assert os.listdir(folder) == []


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, hashed: Hashed) -> None:
    (tmp_path / "file").touch()
    assert not filled(str(tmp_path / "file/x"), hashed).save([hashed.identity])


def test_the_cache_lies_outside_what_it_speaks_of(tmp_path: Path) -> None:
    assert cache_file(str(tmp_path), {"XDG_CACHE_HOME": str(tmp_path / "c"), "HOME": "/h"}) is None
    assert cache_file("/", {"HOME": "/root"}) is None
    (tmp_path / "out").symlink_to(tmp_path / "in")
    assert cache_file(str(tmp_path / "in"), {"XDG_CACHE_HOME": str(tmp_path / "out")}) is None
    assert cache_file("/w", {"XDG_CACHE_HOME": "relative", "HOME": ""}) is None
    one = cache_file("/w", {"HOME": "/h"})
    assert one is not None
    assert one.startswith("/h/.cache/custody/statcache/")
    assert (
        len({one, cache_file("/v", {"HOME": "/h"}), cache_file("/w", {"HOME": "/h"}, namespace="git-sha1")})
        == 3
    )


@pytest.mark.parametrize(
    "name", ["CI", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE", "TEKTON_PIPELINE_RUN"]
)
def test_no_cache_is_kept_in_ci(name: str) -> None:
    assert not wanted({name: "true"})
    assert wanted({name: ""})
    assert wanted({name: "false"})


def test_the_clock_read_is_that_of_the_file_system_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    changed = os.stat(tmp_path)
    tick = TouchClock().read(str(tmp_path))
    assert tick is not None
    assert tick.device == changed.st_dev
    assert tick.at >= os.stat(path).st_ctime_ns
    assert os.listdir(tmp_path) == ["f"]
    assert TouchClock().read(str(tmp_path / "absent")) is None


def test_a_file_system_without_nameless_files_is_read_by_a_named_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    tick = TouchClock().read(str(tmp_path))
    assert tick is not None
    assert tick.device == os.stat(tmp_path).st_dev
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("mounts", "network"),
    [
        ("dev / ext4 rw 0 0\n", False),
        ("dev / ext4 rw 0 0\nsrv:/x /srv/w\\040x nfs4 rw 0 0\n", True),
        ("dev / nfs rw 0 0\ndev /srv/w\\040x xfs rw 0 0\n", False),
        ("dev / ext4 rw 0 0\nx /srv fuse.sshfs rw 0 0\n", True),
        ("dev / ext4 rw 0 0\nx /srv/w nfs rw 0 0\n", False),
        ("dev / ext4 rw 0 0\na /srv xfs rw 0 0\nb /srv cifs rw 0 0\n", True),
        ("", True),
        ("nonsense\n", True),
    ],
)
def test_network_file_systems_are_told_from_the_mount_table(
    tmp_path: Path, mounts: str, network: bool
) -> None:
    table = tmp_path / "mounts"
    table.write_text(mounts)
    assert is_network("/srv/w x", str(table)) is network


def test_an_unknown_mount_table_counts_as_a_network() -> None:
    assert is_network("/", "/nonexistent/mounts")
