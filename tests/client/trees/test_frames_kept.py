"""Stretches of packs that a machine keeps, and frames found in them."""

from __future__ import annotations

from array import array
from pathlib import Path

from custody.nodestore.store import NodeStore
from custody.trees.frames_kept import KeptFrames, keep
from custody.trees.layout import Frame


def frame(offset: int, length: int) -> Frame:
    return Frame(0, offset, length, length, array("I"), array("I"))


def a_store(tmp_path: Path) -> NodeStore:
    return NodeStore(str(tmp_path / "store"), 1 << 20)


def found(kept: KeptFrames, *frames: Frame) -> list[bytes | None]:
    return [None if packed is None else bytes(packed) for _, packed in kept.read(frames)]


def test_frames_are_found_in_the_stretch_that_was_fetched_together(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    keep(store, "p", [(0, b"abc"), (3, b"de"), (9, b"xyz")])
    assert sorted(store.names("frames/p", limit=10)) == ["0-5", "9-3"]
    kept = KeptFrames(store, "p")
    assert found(kept, frame(9, 3), frame(0, 3), frame(3, 2), frame(5, 2)) == [b"abc", b"de", None, b"xyz"]
    assert [kept.holds(frame(*at)) for at in ((1, 4), (4, 2), (9, 3), (12, 1))] == [True, False, True, False]


def test_stretches_that_overlap_do_not_hide_each_other(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    for start, content in ((0, b"abcdef"), (2, b"cd"), (4, b"efgh"), (4, b"e")):
        keep(store, "p", [(start, content)])
    kept = KeptFrames(store, "p")
    assert found(kept, frame(0, 6), frame(2, 2), frame(5, 3)) == [b"abcdef", b"cd", b"fgh"]


def test_a_stretch_that_is_shorter_than_its_name_gives_nothing_and_can_be_dropped(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.keep("frames/p/0-9", b"abc")
    kept = KeptFrames(store, "p")
    assert found(kept, frame(0, 3), frame(3, 6)) == [b"abc", None]
    kept.drop(frame(3, 6))
    kept.drop(frame(20, 1))
    assert found(KeptFrames(store, "p"), frame(0, 3)) == [None]


def test_names_that_mean_nothing_are_passed_over(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    for name in ("x", "01-2", "0-0", "-1-2", f"0-{1 << 40}"):
        store.keep(f"frames/p/{name}", b"abc")
    assert not KeptFrames(store, "p").holds(frame(0, 1))
    assert found(KeptFrames(store, "q"), frame(0, 1)) == [None]
