from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from custody.errors import MisuseError
from custody.nodestore.location import allowed_size, location
from custody.nodestore.pruning import prune
from custody.nodestore.sizes import parse_size
from custody.nodestore.store import NodeStore, node_store


@pytest.fixture
def store(tmp_path: Path) -> NodeStore:
    return NodeStore(str(tmp_path / "store"), 1 << 20)


def test_what_was_kept_is_read_again(store: NodeStore) -> None:
    assert store.read("blobs/a", limit=10) is None
    store.keep("blobs/a", b"content")
    assert store.read("blobs/a", limit=10) == b"content"
    assert store.size("blobs/a") == 7
    store.drop("blobs/a")
    assert store.read("blobs/a", limit=10) is None
    store.drop("blobs/a")


def test_more_than_was_expected_is_not_read(store: NodeStore) -> None:
    store.keep("blobs/a", b"content")
    assert store.read("blobs/a", limit=6) is None


def test_what_would_take_a_quarter_of_the_room_is_not_kept(store: NodeStore) -> None:
    store.keep("blobs/a", bytes((1 << 18) + 1))
    assert store.size("blobs/a") is None


def test_a_link_in_the_store_is_not_followed(store: NodeStore) -> None:
    store.keep("blobs/a", b"content")
    Path(store.root, "blobs", "b").symlink_to(Path(store.root, "blobs", "a"))
    assert store.read("blobs/b", limit=10) is None
    assert store.open("blobs/b") is None
    assert store.size("blobs/b") is None


def test_a_store_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = NodeStore(str(tmp_path / "file"), 1 << 20)
    store.keep("blobs/a", b"content")
    assert store.read("blobs/a", limit=10) is None
    with store.alone("a"):
        pass
    store.close()


def test_an_entry_appears_whole_or_not_at_all(store: NodeStore) -> None:
    store.keep("blobs/a", b"content")
    with Path(os.devnull).open("rb") as nothing:  # shorter than was said
        store.keep_copy("blobs/b", nothing.fileno(), 100)
    assert store.size("blobs/b") is None
    assert not list(Path(store.root, "new").iterdir())


def test_what_was_used_last_survives_pruning(store: NodeStore) -> None:
    for number in range(4):
        store.keep(f"frames/p/{number}", bytes(100_000))
        os.utime(f"{store.root}/frames/p/{number}", (number, number))
    assert store.read("frames/p/0", limit=1 << 20) is not None
    found = prune(store.root, 250_000)
    assert found is not None
    assert found.removed == 2
    assert [store.size(f"frames/p/{number}") is None for number in range(4)] == [False, True, True, False]
    prune(store.root, 0)
    assert not list(Path(store.root, "frames").iterdir())


def test_a_store_that_grows_too_large_makes_room_by_itself(tmp_path: Path) -> None:
    for number in range(12):
        store = NodeStore(str(tmp_path), 1 << 20)
        store.keep(f"blobs/{number}", bytes(200_000))
        os.utime(tmp_path / "blobs" / f"{number}", (number, number))
        store.close()
    kept = sorted(int(path.name) for path in (tmp_path / "blobs").iterdir())
    assert sum(path.stat().st_size for path in (tmp_path / "blobs").iterdir()) <= 1 << 20
    assert kept[-1] == 11


def test_one_reader_fetches_and_the_others_wait(store: NodeStore) -> None:
    fetched: list[int] = []

    def reader() -> None:
        with store.alone("digest"):
            if store.read("blobs/x", limit=100) is None:
                fetched.append(1)
                time.sleep(0.05)
                store.keep("blobs/x", b"content")

    readers = [threading.Thread(target=reader) for _ in range(8)]
    for one in readers:
        one.start()
    for one in readers:
        one.join()
    assert len(fetched) == 1


def test_the_store_lies_where_it_is_told_or_in_the_cache_of_the_user() -> None:
    assert location({"HOME": "/home/u"}) == "/home/u/.cache/custody/node"
    assert location({"HOME": "/home/u", "XDG_CACHE_HOME": "/c"}) == "/c/custody/node"
    assert location({"CUSTODY_NODE_STORE": "/s/"}) == "/s"
    assert location({"CUSTODY_NODE_STORE": "off", "HOME": "/home/u"}) is None
    assert location({}) is None
    with pytest.raises(MisuseError):
        location({"CUSTODY_NODE_STORE": "relative"})


def test_a_store_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert node_store({"CUSTODY_NODE_STORE": str(tmp_path / "open")}) is None
    assert node_store({"CUSTODY_NODE_STORE": str(tmp_path / "own")}) is not None
    assert node_store({"CUSTODY_NODE_STORE": str(tmp_path / "own"), "CUSTODY_NODE_STORE_SIZE": "0"}) is None


@pytest.mark.parametrize(
    ("written", "size"), [("0", 0), ("7", 7), ("1K", 1024), ("2 MiB", 2 << 20), ("10GB", 10 << 30)]
)
def test_sizes_are_read_as_people_write_them(written: str, size: int) -> None:
    assert parse_size(written) == size
    assert allowed_size({"CUSTODY_NODE_STORE_SIZE": written}) == size


@pytest.mark.parametrize("written", ["", "x", "-1", "1.5G", "1PiBs"])
def test_what_is_no_size_is_refused(written: str) -> None:
    with pytest.raises(MisuseError):
        parse_size(written)
