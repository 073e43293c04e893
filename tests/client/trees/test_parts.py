"""Large files of a tree go up in parts, and go on where they broke off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custody.contents import HashedFile, hashed
from custody.errors import ContentError, RefusedError, ServiceError, UnreachableError
from custody.parts import PART, InParts
from custody.service import Service
from custody.transport import Transport
from custody.trees.capture import Exactly, capture
from custody.trees.remote import TreeService
from custody.trees.upload import Upload
from tests.client.trees import tree_peer
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import HASTY


def _file(yard: Path, size: int) -> HashedFile:
    (yard / "large").write_bytes(os.urandom(size))
    return hashed(yard / "large")


def _send(shelf: Shelf, file: HashedFile) -> None:
    transport = Transport(shelf.url, None, patience=HASTY)
    try:
        InParts(transport, file.content(), file.sha256).send()
    finally:
        transport.close()


def _parts_sent(shelf: Shelf) -> list[int]:
    return [int(one.rpartition("/")[2]) for one in shelf.asked if "/parts/" in one]


@pytest.mark.parametrize("size", [1, tree_peer.PART, tree_peer.PART + 1, 3 * tree_peer.PART])
def test_a_file_arrives_whole(size: int, shelf: Shelf, yard: Path) -> None:
    file = _file(yard, size)
    _send(shelf, file)
    assert shelf.blobs[file.sha256] == (yard / "large").read_bytes()
    assert _parts_sent(shelf) == list(range(1, -(-size // tree_peer.PART) + 1))


def test_what_broke_off_goes_on_where_it_stopped(shelf: Shelf, yard: Path) -> None:
    file = _file(yard, 4 * tree_peer.PART)
    shelf.refused_parts = {3}
    _send(shelf, file)
    assert shelf.blobs[file.sha256] == (yard / "large").read_bytes()
    # Every attempt of one request failed; the next round asks what arrived and sends only the rest.
    assert _parts_sent(shelf) == [1, 2, 3, 3, 3, 4]


def test_a_service_that_takes_nothing_more_ends_it(shelf: Shelf, yard: Path) -> None:
    file = _file(yard, 2 * tree_peer.PART)
    shelf.refused_parts = {1}
    with pytest.raises(UnreachableError):
        _send(shelf, file)
    assert not shelf.blobs


@pytest.mark.parametrize("change", ["shorter", "another", "gone"])
def test_a_file_that_is_no_longer_what_was_hashed_is_not_sent(change: str, shelf: Shelf, yard: Path) -> None:
    file = _file(yard, 2 * tree_peer.PART)
    (yard / "large").unlink()
    if change != "gone":
        (yard / "large").write_bytes(bytes(100 if change == "shorter" else 2 * tree_peer.PART))
    with pytest.raises(ContentError):
        _send(shelf, file)
    assert not shelf.blobs


def test_bytes_that_hash_to_something_else_are_refused(shelf: Shelf, yard: Path) -> None:
    file = _file(yard, 100)
    with pytest.raises(RefusedError) as caught:
        _send(shelf, HashedFile(file.path, "0" * 64, file.size, file.identity))
    assert caught.value.slug == "digest-mismatch"


@pytest.mark.parametrize("length", [0, -1, 1 << 40, "16", None])
def test_a_length_of_parts_that_makes_no_sense_is_refused(length: object, shelf: Shelf, yard: Path) -> None:
    shelf.part_size = length
    with pytest.raises(ServiceError, match="no length"):
        _send(shelf, _file(yard, 100))


def test_a_large_output_goes_up_in_parts_and_a_cut_connection_costs_one_of_them(
    shelf: Shelf, yard: Path
) -> None:
    file = _file(yard, PART + 1)
    shelf.refused_parts = {5}
    with Service(Transport(shelf.url, None, patience=HASTY)) as service:
        stored = service.put_output("01STEP", "large", file.content(), file.sha256, role="byproduct")
    assert stored == file.digest
    assert shelf.blobs[file.sha256] == (yard / "large").read_bytes()
    assert _parts_sent(shelf) == [*range(1, 5), 5, 5, 5, *range(6, 18)]
    assert shelf.outputs == [{"role": "byproduct", "name": "large", "digest": {"sha256": file.sha256}}]


@pytest.mark.parametrize(("size", "parts"), [(PART, 0), (PART + 1, 17)])
def test_a_file_outside_any_step_goes_up_in_parts_if_it_is_large(
    size: int, parts: int, shelf: Shelf, yard: Path
) -> None:
    file = _file(yard, size)
    with Service(Transport(shelf.url, None, patience=HASTY)) as service:
        assert service.put(file.content(), file.sha256) == file.digest
    assert shelf.blobs[file.sha256] == (yard / "large").read_bytes()
    assert len(_parts_sent(shelf)) == parts


def test_the_large_files_of_a_tree_go_up_in_parts(shelf: Shelf, yard: Path) -> None:
    (yard / "large").write_bytes(os.urandom(PART + 1))
    (yard / "medium").write_bytes(os.urandom(2 << 20))
    (yard / "small").write_bytes(b"small")
    shelf.refused_parts = {7}
    transport = Transport(shelf.url, None, patience=HASTY)
    try:
        sent = Upload(TreeService(transport), capture(yard, leaving=Exactly())).send()
    finally:
        transport.close()
    assert (sent.packs, sent.blobs) == (1, 2)
    assert len(shelf.uploads) == 1
    assert shelf.blobs[hashed(yard / "large").sha256] == (yard / "large").read_bytes()
    assert set(_parts_sent(shelf)) == set(range(1, 18))
