"""Hashing and listing files: nothing blocks, nothing is followed, what changes is named."""

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.capture import scan as scanning
from custody.capture.errors import UnsafeFileError
from custody.capture.hashing import CHUNK, WHOLE_UP_TO, hash_file, open_regular
from custody.capture.identity import facts_of, identity_of, same_file
from custody.capture.ignore import Ignore
from custody.capture.names import wire_name
from custody.capture.scan import scan

NOTHING = Ignore(defaults=False)


@pytest.mark.parametrize("size", [0, 1, WHOLE_UP_TO, WHOLE_UP_TO + 1, 3 * CHUNK + 7])
def test_the_digest_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "f"
    path.write_bytes(content)
    pieces: list[int] = []
    hashed = hash_file(str(path), progress=pieces.append)
    assert hashed.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (hashed.size, hashed.stable, sum(pieces)) == (size, True, size)
    assert hashed.identity == identity_of(os.stat(path))


@pytest.mark.parametrize("size", [10, WHOLE_UP_TO + 10])
@pytest.mark.parametrize("change", ["append", "truncate", "rewrite", "touch"])
def test_a_file_that_changes_while_it_is_hashed_is_not_stable(tmp_path: Path, size: int, change: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * size)
    os.utime(path, ns=(1, 1))

    def meddle(_count: int) -> None:
        if change == "append":
            with path.open("ab") as stream:
                stream.write(b"more")
        elif change == "truncate":
            os.truncate(path, size // 2)
        elif change == "rewrite":
            path.write_bytes(b"b" * size)
        else:
            os.utime(path, ns=(2, 2))

    assert not hash_file(str(path), progress=meddle).stable


def test_a_file_that_never_stops_growing_ends_the_hashing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * (WHOLE_UP_TO + 1))

    def grow(count: int) -> None:
        with path.open("ab") as stream:
            stream.write(b"b" * (2 * count))

    hashed = hash_file(str(path), progress=grow)
    assert not hashed.stable
    assert hashed.size < 4 * CHUNK


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(UnsafeFileError, match="link"):
        hash_file(str(tmp_path / "link"))


def test_a_pipe_that_nobody_writes_to_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    failed: list[BaseException] = []

    def attempt() -> None:
        try:
            hash_file(str(tmp_path / "pipe"))
        except UnsafeFileError as error:
            failed.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    assert failed


def test_directories_sockets_and_devices_are_no_files(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        for path in (str(tmp_path), str(tmp_path / "s"), "/dev/null"):
            with pytest.raises(UnsafeFileError):
                hash_file(path)


def test_a_directory_exchanged_for_a_link_leads_nowhere(tmp_path: Path) -> None:
    for folder in ("dir", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "f").write_bytes(folder.encode())
    expected = scan(tmp_path, NOTHING).files["dir/f"]
    (tmp_path / "dir").rename(tmp_path / "moved")
    (tmp_path / "dir").symlink_to("elsewhere")
    with pytest.raises(UnsafeFileError, match="replaced"):
        hash_file(str(tmp_path / "dir/f"), expected=expected)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnsafeFileError):
        open_regular(str(tmp_path / "dir/f"), expected=expected)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_scan_lists_files_and_names_what_it_skipped(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/f").write_bytes(b"1")
    (tmp_path / "g").write_bytes(b"2")
    (tmp_path / "link").symlink_to("d", target_is_directory=True)
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = scan(tmp_path, NOTHING)
    assert set(found.files) == {"d/e/f", "g"}
    assert {(skipped.name, skipped.kind) for skipped in found.skipped} == {
        ("link", "symlink"), ("dangling", "symlink"), ("pipe", "fifo"),
    }  # fmt: skip
    assert found.files["g"] == identity_of(os.stat(tmp_path / "g"))


def test_an_ignored_directory_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "node_modules/x").mkdir(parents=True)
    (tmp_path / "node_modules/x/index.js").touch()
    (tmp_path / ".env").touch()
    (tmp_path / "kept").touch()
    found = scan(tmp_path, Ignore())
    assert set(found.files) == {"kept"}
    assert found.ignored == 2


def test_a_scan_ends_at_a_depth_and_says_so(tmp_path: Path) -> None:
    at = tmp_path
    for _ in range(scanning.MAX_DEPTH + 3):
        at = at / "d"
    at.mkdir(parents=True)
    (tmp_path / "f").touch()
    found = scan(tmp_path, NOTHING)
    assert set(found.files) == {"f"}
    assert [skipped.kind for skipped in found.skipped] == ["too-deep"]


def test_a_link_is_a_root_only_by_its_target_and_a_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(NotADirectoryError):
        scan(tmp_path / "f", NOTHING)
    with pytest.raises(FileNotFoundError):
        scan(tmp_path / "absent", NOTHING)


def test_names_of_any_bytes_are_found_hashed_and_written(tmp_path: Path) -> None:
    evil = [
        b"new\nline",
        b"\xff\xfe",
        b"caf\xc3\xa9",
        b"back\\slash",
        b"-rf",
        b"tab\t",
        b" ",
        b"\xed\xa0\x80",
    ]
    for name in evil:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as stream:
            stream.write(name)
    found = scan(tmp_path, NOTHING)
    assert sorted(os.fsencode(name) for name in found.files) == sorted(evil)
    for listed, identity in found.files.items():
        hashed = hash_file(f"{tmp_path}/{listed}", expected=identity)
        assert hashed.raw == hashlib.sha256(os.fsencode(listed)).digest()
    assert wire_name(os.fsdecode(b"\xff\xfe")).text == "\\xff\\xfe"
    assert wire_name("new\nline").text == "new\\x0aline"
    assert wire_name("caf\u00e9") == wire_name(os.fsdecode(b"caf\xc3\xa9"))
    assert not wire_name("caf\u00e9").escaped
    assert wire_name("back\\slash").text == "back\\x5cslash"


@given(st.binary(min_size=1, max_size=30), st.binary(min_size=1, max_size=30))
def test_two_names_never_share_one_written_form(one: bytes, other: bytes) -> None:
    written = wire_name(os.fsdecode(one)).text, wire_name(os.fsdecode(other)).text
    assert (written[0] == written[1]) == (one == other)
    written[0].encode("utf-8")


def test_times_beyond_what_fits_are_kept_as_the_far_future(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    far = 12_000_000_000
    os.utime(path, (far, far))
    found = os.stat(path)
    facts = facts_of(identity_of(found))
    assert facts.modified_at == min(found.st_mtime_ns, 2**63 - 1)
    assert facts.inode == found.st_ino
    assert same_file(identity_of(found), identity_of(os.stat(path)))
    assert scan(tmp_path, NOTHING).files["f"] == identity_of(found)
