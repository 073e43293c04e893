"""The place of a target: whatever interrupts its change, the old one or the new one is there."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from custody.trees.places import private_place
from tests.client.trees.trees_at_hand import seen

AFTER_BOTH = 3
NEW = {b"out": ("directory", 0, b""), b"out/new": ("file", 0o600, b"")}


def an_old(what: str, target: Path) -> None:
    if what == "a file":
        target.write_text("old")
    elif what == "a link":
        target.symlink_to("elsewhere")
    else:
        target.mkdir()
        (target / "kept").write_text("old")


@pytest.mark.parametrize("what", ["a file", "a link", "a directory with something in it"])
@pytest.mark.parametrize("moment", range(AFTER_BOTH + 1))
def test_an_interrupt_while_a_target_is_replaced_leaves_the_old_or_the_new_one(
    moment: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_old(what, tmp_path / "out")
    before = seen(tmp_path)
    rename, moments = os.rename, itertools.count()

    def interrupted(source: str, to: str) -> None:
        """Be interrupted before or after one of the two."""
        if next(moments) == moment:
            raise KeyboardInterrupt
        rename(source, to)
        if next(moments) == moment:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        private_place(str(tmp_path / "out"), replace=True) as place,
    ):
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=place))
    assert seen(tmp_path) == (NEW if moment == AFTER_BOTH else before)
