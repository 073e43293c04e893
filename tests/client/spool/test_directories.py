"""A directory waits in the spool as a private copy that is the tree that was captured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from custody.errors import ContentError, SpoolFullError
from custody.ids import new_ulid
from custody.spool.directories import copied_tree, copy_tree
from custody.spool.draft import Draft
from custody.spool.entry import TREE, read_entry, tree_folder
from custody.spool.location import Spool
from custody.trees.capture import Exactly, capture
from custody.trees.manifest import MEDIA_TYPE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "made"
    (found / "empty").mkdir(parents=True)
    (found / "deep/er").mkdir(parents=True)
    (found / "deep/er/file").write_bytes(os.urandom(5000))
    (found / "run.sh").write_text("#!/bin/sh\n")
    (found / "run.sh").chmod(0o755)
    (found / "link").symlink_to("/nowhere/at all")
    (found / os.fsdecode(b"not-\xff-unicode")).write_text("x")
    (found / "nothing").touch()
    return found


def test_the_copy_is_the_same_tree(folder: Path, tmp_path: Path) -> None:
    taken = capture(folder, leaving=Exactly(allow_secrets=True))
    copy_tree(taken, tmp_path / "copy")
    assert copied_tree(tmp_path / "copy", taken.manifest.sha256).manifest.digest == taken.manifest.digest
    (tmp_path / "copy/deep/er/file").write_bytes(b"other")
    with pytest.raises(ContentError, match="damaged"):
        copied_tree(tmp_path / "copy", taken.manifest.sha256)


@pytest.mark.parametrize("change", ["grow", "shrink", "replace", "link", "gone", "relink"])
def test_what_changed_after_it_was_captured_is_not_kept(folder: Path, tmp_path: Path, change: str) -> None:
    taken = capture(folder, leaving=Exactly(allow_secrets=True))
    file = folder / "deep/er/file"
    if change == "grow":
        file.write_bytes(file.read_bytes() + b"!")
    elif change == "shrink":
        file.write_bytes(file.read_bytes()[:-1])
    elif change == "replace":
        file.write_bytes(os.urandom(5000))
    elif change == "relink":
        (folder / "link").unlink()
        (folder / "link").symlink_to("elsewhere")
    else:
        file.unlink()
        if change == "link":
            file.symlink_to("/etc/hostname")
    spool = Spool(tmp_path / "spool")
    draft = Draft(spool, "http://127.0.0.1:1", {"id": new_ulid()}, None)
    with pytest.raises(ContentError):
        draft.keep_tree("made", taken, {"mediaType": MEDIA_TYPE})
    draft.commit({"outcome": "succeeded"})
    (id_,) = spool.waiting()
    assert read_entry(spool.entries / id_).outputs == []
    assert [one.name for one in (spool.entries / id_).iterdir()] == ["entry.json"]


def test_a_directory_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    taken = capture(folder, leaving=Exactly(allow_secrets=True))
    spool = Spool(tmp_path / "spool", limit=20_000)
    draft = Draft(spool, "http://127.0.0.1:1", {"id": new_ulid()}, None)
    with pytest.raises(SpoolFullError):
        draft.keep_tree("made", taken, {"mediaType": MEDIA_TYPE})
    draft.close()
    assert spool.waiting() == []
    assert list(spool.incoming.iterdir()) == []


def test_a_kept_directory_is_an_output_with_its_copy_beside_it(folder: Path, tmp_path: Path) -> None:
    assert TREE == MEDIA_TYPE
    taken = capture(folder, leaving=Exactly(allow_secrets=True))
    spool = Spool(tmp_path / "spool")
    draft = Draft(spool, "http://127.0.0.1:1", {"id": new_ulid()}, None)
    draft.keep_tree("made", taken, {"mediaType": MEDIA_TYPE})
    draft.commit({"outcome": "succeeded"})
    (id_,) = spool.waiting()
    (made,) = read_entry(spool.entries / id_).outputs
    assert (made.is_tree, made.here, made.sha256) == (True, True, taken.manifest.sha256)
    copied_tree(spool.entries / id_ / tree_folder(made.sha256), made.sha256)
