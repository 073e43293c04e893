"""Packs hold what was hashed, each content once, and never more than one answer can tell of."""

from __future__ import annotations

import hashlib
import os
from array import array
from pathlib import Path

import pytest
import zstandard

from custody.transport import Transport
from custody.trees.capture import Exactly, capture
from custody.trees.errors import ChangedError
from custody.trees.manifest import FILE, FOLDER, Manifest, build
from custody.trees.packing import MEMBERS, frames, pack
from custody.trees.packs import FILES
from custody.trees.remote import MISSING_BATCH, TreeService
from custody.trees.upload import missing
from tests.client.trees.tree_peer import Shelf
from tests.client.trees.trees_at_hand import HASTY


def _numbered(count: int, *, repeated: int = 1) -> tuple[Manifest, dict[bytes, bytes]]:
    """Return a tree of small files of which `repeated` in a row have one content, and their contents."""
    contents = [b"%08d" % (number // repeated) for number in range(count)]
    digests = [hashlib.sha256(content).digest() for content in contents]
    paths = [b"file-%07d" % number for number in range(count)]
    manifest = build(bytes([FILE]) * count, array("Q", [8]) * count, b"".join(digests), paths)
    return manifest, dict(zip(digests, contents, strict=True))


def test_what_was_hashed_is_packed_although_the_file_is_gone(tmp_path: Path) -> None:
    root, spool = tmp_path / "root", tmp_path / "spool"
    root.mkdir()
    spool.mkdir()
    (root / "f").write_bytes(b"as it was hashed")
    taken = capture(root, leaving=Exactly(), retain=1 << 20)
    (root / "f").unlink()
    [made] = pack(str(root), taken.manifest, [0], str(spool), contents=taken.contents)
    packed = Path(made.path).read_bytes()
    assert zstandard.decompress(packed) == b"as it was hashed"
    assert (made.sha256, made.size) == (hashlib.sha256(packed).hexdigest(), len(packed))
    files = [[hashlib.sha256(b"as it was hashed").hexdigest(), 16]]
    frame = {"offset": 0, "length": len(packed), "files": files}
    assert made.index == {"digest": f"sha256:{made.sha256}", "frames": [frame]}


def test_no_more_is_kept_than_was_asked_for(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"f{number}").write_bytes(os.urandom(10_000))
    taken = capture(tmp_path, leaving=Exactly(), retain=500_000)
    assert 450_000 < sum(map(len, taken.contents.values())) < 510_000
    assert capture(tmp_path, leaving=Exactly()).contents == {}
    (tmp_path / "f0").unlink()
    with pytest.raises(ChangedError):
        # What is not kept is read again, and must be there.
        list(pack(str(tmp_path), taken.manifest, range(100), str(tmp_path), contents={}))


def test_a_file_that_grows_while_it_is_captured_is_captured_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"one")
    with (tmp_path / "f").open("ab") as stream:

        def seen(_: int) -> None:
            stream.write(b" more")
            stream.flush()

        taken = capture(tmp_path, leaving=Exactly(), seen=seen).manifest
    assert taken.raw(0) == hashlib.sha256(b"one").digest()
    assert taken.sizes[0] == 3


def test_a_pack_is_closed_before_it_holds_more_files_than_one_proposal_can_name(tmp_path: Path) -> None:
    count = 3 * FILES
    manifest, contents = _numbered(count)
    made = list(pack("/nowhere", manifest, range(count), str(tmp_path), contents=contents))
    assert len(made) > 1
    assert all(one.files < FILES + MEMBERS for one in made)
    assert sum(one.files for one in made) == count
    told = [file for one in made for frame in one.index["frames"] for file in frame["files"]]
    assert {digest for digest, _ in told} == {raw.hex() for raw in contents}


def test_a_frame_is_closed_when_it_holds_many_files_however_small_they_are() -> None:
    manifest, _ = _numbered(2 * MEMBERS + 1)
    assert [len(one) for one in frames(manifest, range(len(manifest)))] == [MEMBERS, MEMBERS, 1]


def test_each_content_is_asked_for_once_and_few_questions_are_asked(shelf: Shelf) -> None:
    manifest, contents = _numbered(120_000, repeated=2)
    known = sorted(contents)[::3]
    shelf.blobs = {raw.hex(): b"" for raw in known}
    transport = Transport(shelf.url, None, patience=HASTY)
    try:
        found = missing(TreeService(transport), manifest)
    finally:
        transport.close()
    raws = [manifest.raw(entry) for entry in found]
    assert list(found) == sorted(found)
    assert sorted(raws) == sorted(set(contents) - set(known))
    assert shelf.asked == ["POST /v1/trees/missing"] * 2
    assert len(contents) > MISSING_BATCH


def test_nothing_is_asked_about_empty_files_and_directories(shelf: Shelf) -> None:
    nothing = hashlib.sha256(b"").digest()
    manifest = build(bytes([FOLDER, FILE]), array("Q", [0, 0]), bytes(32) + nothing, [b"a", b"b"])
    transport = Transport(shelf.url, None, patience=HASTY)
    try:
        assert list(missing(TreeService(transport), manifest)) == []
    finally:
        transport.close()
    assert shelf.asked == []
