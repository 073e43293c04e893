"""A directory that was put and got again is the same: byte for byte, mode for mode."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custody.capture.ignore import Ignore
from custody.capture.statcache import StatCache
from custody.nodestore.store import NodeStore
from custody.transport import Transport
from custody.trees.capture import Captured, Exactly, capture
from custody.trees.errors import ChangedError, UnsafeTreeError
from custody.trees.folders import Folders
from custody.trees.layout import FRAME
from custody.trees.manifest import FOLDER, parse
from custody.trees.packing import frames, pack
from custody.trees.remote import TreeService
from custody.trees.upload import Sent, Upload
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import HASTY, fetched, seen


def _put(shelf: Shelf, root: Path) -> tuple[str, Sent]:
    taken = capture(root, leaving=Exactly())
    return taken.manifest.sha256, _sent(shelf, taken)


def _sent(shelf: Shelf, taken: Captured) -> Sent:
    transport = Transport(shelf.url, None, patience=HASTY)
    try:
        return Upload(TreeService(transport), taken).send()
    finally:
        transport.close()


def _strange(root: Path) -> None:
    """Make a directory with everything that a tree may hold."""
    (root / "deep" / "er" / "still").mkdir(parents=True)
    (root / "empty dir" / "in it").mkdir(parents=True)
    (root / "plain").write_bytes(b"plain\n")
    (root / "nothing").touch()
    (root / "deep" / "er" / "nothing").touch(mode=0o755)
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "private").write_bytes(b"x")
    (root / "private").chmod(0o600)
    (root / "a\nline\ttab \x1b[31m %41").write_bytes(b"odd name")
    (root / ("n" * 255)).write_bytes(b"long name")
    (root / "deep" / "er" / "still" / "ünïcode ☃").write_bytes(b"text")
    (root / "big").write_bytes(os.urandom((1 << 20) + 7))
    (root / "exactly a MiB").write_bytes(os.urandom(1 << 20))
    (root / "same").write_bytes(b"plain\n")
    (root / "a").mkdir()
    (root / "a" / "z").write_bytes(b"sorts after a-b and before b")
    (root / "a-b").write_bytes(b"1")
    (root / "a.b").write_bytes(b"2")
    (root / "link").symlink_to("plain")
    (root / "link to link").symlink_to("link")
    (root / "link to dir").symlink_to("deep/er")
    (root / "dangling").symlink_to("not/there")
    (root / "deep" / "up").symlink_to("../plain")
    os.symlink(b"\xff\xfe\n", os.fsencode(root) + b"/link with odd text")
    with open(os.fsencode(root) + b"/not \xff utf-8 \x80", "wb") as stream:
        stream.write(b"bytes")
    os.link(root / "plain", root / "hard link")


def test_everything_comes_back_as_it_was(shelf: Shelf, yard: Path) -> None:
    source, target = yard / "source", yard / "target"
    source.mkdir()
    _strange(source)
    tree, sent = _put(shelf, source)
    assert (sent.packs, sent.blobs) == (1, 1)
    fetched(shelf, tree, target)
    before = seen(source)
    # All that a tree keeps of a mode is who may execute.
    before[b"private"] = ("file", 0o644, b"x")
    assert seen(target) == before
    assert capture(target, leaving=Exactly()).manifest.sha256 == tree
    assert target.stat().st_mode == source.stat().st_mode


def test_what_is_there_is_not_sent_again(shelf: Shelf, yard: Path) -> None:
    (yard / "source").mkdir()
    _strange(yard / "source")
    tree, _ = _put(shelf, yard / "source")
    shelf.asked.clear()
    again, sent = _put(shelf, yard / "source")
    assert again == tree
    assert (sent.packs, sent.blobs, sent.size) == (0, 0, 0)
    assert shelf.asked == [f"GET /v1/trees/sha256:{tree}"]
    (yard / "source" / "new").write_bytes(b"new")
    changed, sent = _put(shelf, yard / "source")
    assert changed != tree
    assert (sent.packs, sent.blobs) == (1, 0)
    assert sent.size < 100
    fetched(shelf, changed, yard / "target")
    assert seen(yard / "target")[b"new"] == ("file", 0o644, b"new")


NAMES = st.binary(min_size=1, max_size=20).filter(
    # What git takes for its own folder is restored for nobody who did not ask for it.
    lambda name: (
        b"/" not in name and b"\0" not in name and name not in (b".", b"..") and b"git" not in name.lower()
    )
)


@given(
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=3).map(tuple),
        st.one_of(st.binary(max_size=50), st.none(), st.just("link")),
        max_size=8,
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_directory_comes_back_as_it_was(
    shelf: Shelf, plan: dict[tuple[bytes, ...], bytes | str | None]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "source"), Path(place, "target")
        source.mkdir()
        for parts, content in plan.items():
            _make(os.fsencode(source), parts, content)
        # Any name may come up, also one that looks like a secret.
        taken = capture(source, leaving=Exactly(allow_secrets=True))
        tree = _sent(shelf, taken).digest.partition(":")[2]
        fetched(shelf, tree, target)
        assert seen(target) == seen(source)


def _make(root: bytes, parts: tuple[bytes, ...], content: bytes | str | None) -> None:
    """Make one thing, unless something else has its place already."""
    path = b"/".join((root, *parts))
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is None:
            os.makedirs(path, exist_ok=True)
        elif isinstance(content, str):
            os.symlink(b"somewhere", path)
        else:
            with open(path, "xb") as stream:
                stream.write(content)
    except (FileExistsError, NotADirectoryError):
        pass


def test_directories_are_reached_also_when_few_may_stay_open(yard: Path) -> None:
    paths = sorted(
        {b"/".join(parts) for parts in ((b"a",), (b"a", b"b"), (b"a", b"b", b"c"), (b"d",), (b"d", b"e"))}
    )
    root = os.open(yard, os.O_RDONLY | os.O_DIRECTORY)
    folders = Folders(root, paths, room=2)
    try:
        assert len(folders.opened) == 2
        for path in paths:
            with folders.at(path) as descriptor:
                assert os.path.samestat(os.fstat(descriptor), os.stat(os.fsencode(yard) + b"/" + path))
    finally:
        folders.close()
        os.close(root)


def test_a_link_put_in_the_place_of_a_directory_is_not_followed(yard: Path) -> None:
    root = os.open(yard, os.O_RDONLY | os.O_DIRECTORY)
    folders = Folders(root, [b"a", b"a/b"], room=1)
    (yard / "a" / "b").rmdir()
    (yard / "a" / "b").symlink_to("/")
    try:
        with pytest.raises(OSError, match=r"directory|symbolic"), folders.at(b"a/b"):
            pass
    finally:
        folders.close()
        os.close(root)


def test_what_a_tree_cannot_hold_is_refused(yard: Path) -> None:
    os.mkfifo(yard / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(yard / "socket"))
        with pytest.raises(UnsafeTreeError) as caught:
            capture(yard, leaving=Exactly())
    assert "pipe (fifo)" in caught.value.message
    assert "socket (socket)" in caught.value.message


@pytest.mark.parametrize("name", [".env", "server.key", ".git/config", "d/.netrc", ".aws/credentials"])
def test_what_looks_like_a_secret_is_refused_unless_allowed(name: str, yard: Path) -> None:
    (yard / name).parent.mkdir(parents=True, exist_ok=True)
    (yard / name).write_text("token=1")
    exactly = Exactly()
    capture(yard, leaving=exactly)
    with pytest.raises(UnsafeTreeError, match="secrets"):
        exactly.require_none()
    allowed = Exactly(allow_secrets=True)
    assert os.fsencode(name) in capture(yard, leaving=allowed).manifest.paths
    allowed.require_none()
    assert len(capture(yard, leaving=Ignore()).manifest) == 0


def test_setuid_is_dropped_and_said(yard: Path) -> None:
    (yard / "sudo").write_bytes(b"x")
    (yard / "sudo").chmod(0o4755)
    taken = capture(yard, leaving=Exactly())
    assert taken.dropped == ("sudo",)
    assert next(line for line in taken.manifest.lines() if b"sudo" in line).startswith(b"755 f")


def test_links_are_never_followed(yard: Path) -> None:
    (yard / "away").symlink_to("/etc")
    (yard / "file").symlink_to("/etc/passwd")
    taken = capture(yard, leaving=Exactly()).manifest
    assert taken.paths == [b"away", b"file"]
    assert taken.size == len("/etc") + len("/etc/passwd")


@pytest.mark.parametrize("change", ["content", "gone", "a link", "a longer one"])
def test_a_file_that_changed_after_it_was_captured_is_not_packed(change: str, yard: Path) -> None:
    (yard / "f").write_bytes(b"before")
    taken = capture(yard, leaving=Exactly())
    (yard / "f").unlink()
    if change == "content":
        (yard / "f").write_bytes(b"after!")
    elif change == "a link":
        (yard / "f").symlink_to("/etc/passwd")
    elif change == "a longer one":
        (yard / "f").write_bytes(b"before and after")
    with tempfile.TemporaryDirectory() as spool, pytest.raises(ChangedError, match="f: changed"):
        list(pack(taken.root, taken.manifest, [0], spool))


def test_a_large_file_that_changed_is_not_sent(shelf: Shelf, yard: Path) -> None:
    (yard / "big").write_bytes(bytes(2 << 20))
    taken = capture(yard, leaving=Exactly())
    (yard / "big").unlink()
    with pytest.raises(ChangedError, match="big: changed"):
        _sent(shelf, taken)
    assert not shelf.layouts


def _captured(yard: Path, count: int, size: int) -> Captured:
    for number in range(count):
        (yard / f"f{number}").write_bytes(os.urandom(size))
    return capture(yard, leaving=Exactly())


def test_frames_are_about_a_quarter_of_a_megabyte_and_hold_every_file_once(yard: Path) -> None:
    taken = _captured(yard, 200, 20_000)
    groups = list(frames(taken.manifest, range(200)))
    assert sorted(entry for group in groups for entry in group) == list(range(200))
    sizes = [sum(taken.manifest.sizes[entry] for entry in group) for group in groups]
    assert all(FRAME <= size < FRAME + 20_000 for size in sizes[:-1])


def test_the_stat_cache_saves_the_hashing(yard: Path) -> None:
    _captured(yard, 3, 10)
    for number in range(3):
        os.utime(yard / f"f{number}", (1, 1))
    cache = StatCache()
    time.sleep(0.1)
    first = capture(yard, leaving=Exactly(), cache=cache)
    again = capture(yard, leaving=Exactly(), cache=cache)
    assert (first.hashed, again.hashed) == (3, 0)
    assert first.manifest == again.manifest


def test_capture_gives_the_order_of_a_manifest_and_the_parents_of_nothing(yard: Path) -> None:
    for name in ("a/b", "a-b", "a!", "b", "a/c/d"):
        (yard / name).mkdir(parents=True, exist_ok=True)
    taken = capture(yard, leaving=Exactly()).manifest
    assert taken.paths == [b"a!", b"a-b", b"a/b", b"a/c/d", b"b"]
    assert set(taken.kinds) == {FOLDER}
    assert parse(taken.lines()) == taken


def test_what_this_machine_has_is_not_fetched_again_and_not_trusted(
    shelf: Shelf, yard: Path, tmp_path: Path
) -> None:
    (yard / "source").mkdir()
    _strange(yard / "source")
    tree, _ = _put(shelf, yard / "source")
    store = NodeStore(str(tmp_path / "store"), 1 << 30)
    fetched(shelf, tree, yard / "one", store=store)
    shelf.asked.clear()
    fetched(shelf, tree, yard / "two", store=store)
    assert shelf.asked == []
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file() and path.parent.name != "locks":
            path.write_bytes(bytes(path.stat().st_size))
    fetched(shelf, tree, yard / "three", store=store)
    assert seen(yard / "one") == seen(yard / "two") == seen(yard / "three")
    shelf.asked.clear()
    fetched(shelf, tree, yard / "four", store=store)
    assert shelf.asked == []
