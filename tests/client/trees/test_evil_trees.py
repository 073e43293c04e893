"""Whatever a service sends: nothing is written outside the target, and a wrong tree leaves no trace."""

from __future__ import annotations

import hashlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custody.errors import ContentError, NothingFoundError, ServiceError
from custody.trees.errors import MalformedTreeError, UnsafeTreeError
from custody.trees.links import Links
from custody.trees.restore import Options
from custody.trees.writing import WrongBytesError
from tests.client.trees.evil_manifests import EVIL
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import Item, fetched, file, folder, link, seen, shelve, shelve_text


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_manifest_leaves_nothing(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve_text(shelf, EVIL[name])
    with pytest.raises(MalformedTreeError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


OUTWARD: dict[str, list[Item]] = {
    "absolute": [link("a", "/etc/passwd")],
    "the root": [link("a", "/")],
    "above": [link("a", "..")],
    "above, with a slash": [link("a", "../")],
    "beside": [link("a", "../canary")],
    "far above": [link("d/a", "../../x")],
    "up, down and out": [link("a", "b/../../x"), folder("b")],
    "out through a name that is not there": [link("a", "b/../../x")],
    "out through a file": [link("a", "b/../.."), file("b")],
    "through a link that leads up": [link("d/e/s", "../.."), link("t", "d/e/s/.."), file("d/x")],
    "through two links": [link("x", "y"), link("y", "z/.."), link("z", ".")],
    "through a chain": [link("a", "b"), link("b", "c"), link("c", "/etc")],
    "with many slashes": [link("a", ".//..//x")],
    "with dots in between": [link("a", "./././../x")],
    "past a link to a directory": [link("d/up", ".."), link("out", "d/up/../x"), file("d/f")],
}


@pytest.mark.parametrize("name", OUTWARD)
def test_links_that_lead_out_are_refused(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, OUTWARD[name])
    with pytest.raises(UnsafeTreeError, match="lead out"):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())
    fetched(shelf, tree, yard / "out", Options(allow_outward_links=True))
    links = {item.written for item in OUTWARD[name] if item.head == "777 l"}
    assert links <= seen(yard / "out").keys()


INWARD: dict[str, list[Item]] = {
    "beside": [link("a", "b"), file("b")],
    "nowhere": [link("a", "nothing/at/all")],
    "to itself": [link("a", "a")],
    "in a circle": [link("a", "b"), link("b", "a")],
    "up and down again": [link("d/e/a", "../../b"), file("b")],
    "to a link to a directory": [link("a", "b/f"), link("b", "c"), file("c/f")],
    "to the tree itself": [link("d/a", "..")],
    "with a name full of escapes": [link("a%0A%1B", b"\x1b[2J\xff")],
    "as long as can be": [link("a", b"n/" * 2000)],
}


@pytest.mark.parametrize("name", INWARD)
def test_links_within_the_tree_are_made_as_they_are(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, INWARD[name])
    fetched(shelf, tree, yard / "out")
    found = seen(yard / "out")
    targets = {item.content for item in INWARD[name] if item.head == "777 l"}
    assert {content for kind, _, content in found.values() if kind == "link"} == targets


PART = st.sampled_from((b"..", b".", b"a", b"b", b"c", b""))
TARGET = st.lists(PART, min_size=1, max_size=5).map(b"/".join).filter(bool)


@given(st.dictionaries(st.sampled_from((b"a", b"b", b"d/a", b"d/b", b"d/e/c")), TARGET, min_size=1))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_link_called_inward_leads_out_on_a_real_file_system(
    tmp_path_factory: pytest.TempPathFactory, targets: dict[bytes, bytes]
) -> None:
    above = os.fsencode(tmp_path_factory.mktemp("links"))
    root = above + b"/deep/root"
    os.makedirs(root + b"/d/e")
    for name in (b"/a", b"/b", b"/c", b"/d/c"):
        if name[1:] not in targets:
            os.makedirs(root + name)
    for path, target in targets.items():
        os.symlink(target, root + b"/" + path)
    outward = Links(targets).outward()
    for path in targets.keys() - set(outward):
        try:
            real = os.path.realpath(root + b"/" + path, strict=True)
        except OSError:  # a circle, or nothing there: it leads nowhere at all
            continue
        assert real == root or real.startswith(root + b"/")


def _corrupt(shelf: Shelf, change: Callable[[bytes], bytes]) -> None:
    for sha256, content in shelf.blobs.items():
        shelf.blobs[sha256] = change(content)


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "other bytes": lambda pack: zstandard.compress(b"x" * zstandard.frame_content_size(pack)),
    "one bit": lambda pack: pack[:-1] + bytes((pack[-1] ^ 1,)),
    "zeros": lambda pack: bytes(len(pack)),
    "no zstd": lambda pack: b"n" * len(pack),
    "a frame that announces more": lambda pack: zstandard.compress(bytes(1 << 20))[: len(pack)].ljust(
        len(pack)
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_bytes_from_the_service_leave_nothing(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", os.urandom(5000)), file("b/c", b"x")])
    _corrupt(shelf, WRONG[name])
    with pytest.raises((WrongBytesError, ServiceError)):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def test_a_pack_that_is_cut_short_leaves_nothing(shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", os.urandom(5000))])
    _corrupt(shelf, lambda pack: pack[: len(pack) // 2])
    with pytest.raises(ServiceError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def test_an_answer_that_breaks_off_is_asked_for_again(shelf: Shelf, yard: Path) -> None:
    content = os.urandom(5000)
    tree = shelve(shelf, [file("a", content)])
    shelf.break_off = 2
    fetched(shelf, tree, yard / "out")
    assert (yard / "out" / "a").read_bytes() == content


def test_a_frame_that_would_unfold_to_gigabytes_is_refused_before_it_does(shelf: Shelf, yard: Path) -> None:
    bomb = zstandard.ZstdCompressor(level=1)
    packed = bomb.compress(bytes(300 << 20))
    tree = shelve(shelf, [file("a", b"x" * 50)])
    (sha256,) = shelf.blobs
    shelf.blobs[sha256] = packed
    text = f"custody-layout/v1 {tree}\np {sha256} {len(packed)}\nr 0 0 {len(packed)} 50\n0 0\n"
    shelf.layouts[tree] = zstandard.compress(text.encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WrongBytesError):
        fetched(shelf, tree, yard / "out")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("kind", ["manifests", "layouts"])
def test_a_manifest_or_layout_that_is_a_bomb_is_refused(kind: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", b"x")])
    packing = zstandard.ZstdCompressor(level=1).compressobj()
    piece = bytes(8 << 20)
    bomb = b"".join(packing.compress(piece) for _ in range(70)) + packing.flush()
    getattr(shelf, kind)[tree] = bomb
    with pytest.raises(MalformedTreeError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def _frame(tree: str, sha256: str, size: int, rest: str) -> str:
    return f"custody-layout/v1 {tree}\np {sha256} {size}\n{rest}"


LAYOUTS: dict[str, Callable[[str, str, int], str]] = {
    "of another tree": lambda _, sha, size: _frame("0" * 64, sha, size, f"r 0 0 {size} 7\n0 0\n"),
    "without the file": lambda tree, sha, size: _frame(tree, sha, size, ""),
    "with the file twice": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 0 {size} 7\n0 0\n0 0\n"),
    "with an entry that is not there": lambda tree, sha, size: _frame(
        tree, sha, size, f"r 0 0 {size} 7\n9 0\n"
    ),
    "with a file beyond its frame": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 0 {size} 7\n0 1\n"),
    "with a frame beyond its pack": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 1 {size} 7\n0 0\n"),
    "with a pack that is not there": lambda tree, sha, size: _frame(
        tree, sha, size, f"r 1 0 {size} 7\n0 0\n"
    ),
    "with a huge pack": lambda tree, sha, _: _frame(tree, sha, 10**12 - 1, f"r 0 0 {10**11} 7\n0 0\n"),
    "with a huge frame": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 0 {size} {10**11}\n0 0\n"),
    "with an empty frame": lambda tree, sha, size: _frame(tree, sha, size, "r 0 0 0 7\n0 0\n"),
    "with negative numbers": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 -1 {size} 7\n0 0\n"),
    "with a path for a pack": lambda tree, _, size: _frame(tree, "../../x", size, f"r 0 0 {size} 7\n0 0\n"),
    "with something after it": lambda tree, sha, size: _frame(tree, sha, size, f"r 0 0 {size} 7\n0 0\nx\n"),
    "that is empty": lambda _tree, _sha, _size: "",
    "that is another format": lambda tree, _sha, _size: f"custody-layout/v2 {tree}\n",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_forged_layout_leaves_nothing(name: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", b"content")])
    (sha256,) = shelf.blobs
    shelf.layouts[tree] = zstandard.compress(LAYOUTS[name](tree, sha256, len(shelf.blobs[sha256])).encode())
    with pytest.raises(MalformedTreeError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def test_a_layout_that_leads_to_another_file_leaves_nothing(shelf: Shelf, yard: Path) -> None:
    other = shelve(shelf, [file("a", b"EVIL   ")])
    (pack,) = shelf.blobs
    tree = shelve(shelf, [file("a", b"content")])
    assert tree != other
    size = len(shelf.blobs[pack])
    shelf.layouts[tree] = zstandard.compress(_frame(tree, pack, size, f"r 0 0 {size} 7\n0 0\n").encode())
    with pytest.raises(WrongBytesError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def test_the_manifest_of_another_tree_is_refused(shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", b"1")])
    shelf.manifests[tree] = shelf.manifests[shelve(shelf, [file("a", b"2")])]
    with pytest.raises(MalformedTreeError, match="has the digest"):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


def test_a_link_whose_text_holds_a_nul_is_refused(shelf: Shelf, yard: Path) -> None:
    with pytest.raises(MalformedTreeError, match="NUL"):
        fetched(shelf, shelve(shelf, [link("a", b"b\0c")]), yard / "out")
    assert not list(yard.iterdir())


def test_an_empty_file_with_the_digest_of_another_is_refused(shelf: Shelf, yard: Path) -> None:
    text = f"custody-tree/v1\n644 f {'a' * 64} 0 x\n".encode()
    with pytest.raises(MalformedTreeError, match="empty"):
        fetched(shelf, shelve_text(shelf, text), yard / "out")
    assert not list(yard.iterdir())


def test_a_tree_too_deep_to_be_removed_again_is_refused(shelf: Shelf, yard: Path) -> None:
    with pytest.raises(UnsafeTreeError, match="deeper"):
        fetched(shelf, shelve(shelf, [file("/".join("d" * 300))]), yard / "out")
    assert not list(yard.iterdir())


def test_a_large_file_with_wrong_bytes_leaves_nothing(shelf: Shelf, yard: Path) -> None:
    content = os.urandom((1 << 20) + 1)
    sha256 = hashlib.sha256(content).hexdigest()
    tree = shelve_text(shelf, f"custody-tree/v1\n644 f {sha256} {len(content)} big\n".encode())
    shelf.blobs[sha256] = content[:-1] + bytes((content[-1] ^ 1,))
    with pytest.raises(WrongBytesError):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())
    shelf.blobs[sha256] = content
    fetched(shelf, tree, yard / "out")
    assert (yard / "out" / "big").read_bytes() == content


def test_a_tree_that_is_not_whole_is_not_found(shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a")])
    del shelf.layouts[tree]
    with pytest.raises(NothingFoundError, match="incomplete"):
        fetched(shelf, tree, yard / "out")
    assert not list(yard.iterdir())


@pytest.mark.parametrize("what", ["a file", "a directory with something in it", "a link"])
def test_what_stands_in_the_way_is_left_alone(what: str, shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", b"new")])
    target = yard / "out"
    if what == "a file":
        target.write_text("old")
    elif what == "a link":
        target.symlink_to("../canary")
    else:
        target.mkdir()
        (target / "kept").write_text("old")
    before = seen(yard)
    with pytest.raises(ContentError, match="exists"):
        fetched(shelf, tree, target)
    assert seen(yard) == before
    fetched(shelf, tree, target, Options(replace=True))
    assert seen(yard).keys() == {b"out", b"out/a"}


def test_a_failed_replacement_keeps_what_was_there(shelf: Shelf, yard: Path) -> None:
    tree = shelve(shelf, [file("a", b"new")])
    (yard / "out").mkdir()
    (yard / "out" / "kept").write_text("old")
    before = seen(yard)
    _corrupt(shelf, lambda pack: bytes(len(pack)))
    with pytest.raises(WrongBytesError):
        fetched(shelf, tree, yard / "out", Options(replace=True))
    assert seen(yard) == before


def test_an_empty_directory_may_become_the_tree(shelf: Shelf, yard: Path) -> None:
    (yard / "out").mkdir()
    fetched(shelf, shelve(shelf, [file("a"), folder("b")]), yard / "out")
    assert seen(yard / "out").keys() == {b"a", b"b"}
