"""Seals on names: only who has the key makes one, and it holds for the whole name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, ForbiddenError
from artifacts.layout import Key
from artifacts.seal import Seal, create

AT = datetime(2026, 11, 22, tzinfo=UTC)
KEY = layout.journal("default", "01K" + "0" * 23, Digest.of(b"a fact\n"), AT)


def test_a_seal_holds_for_project_kind_and_content(tmp_path: Path) -> None:
    seal = Seal.open_or_create(tmp_path / "seal.key")
    sealed = str(seal.put_on(KEY))
    assert seal.is_on(Key(sealed))
    for part, other in (("default", "other"), ("journal", "records"), ("2026/11", "2026/12")):
        assert not seal.is_on(Key(sealed.replace(part, other)))
    assert not seal.is_on(Key(sealed.replace(Digest.of(b"a fact\n").hex, Digest.of(b"another\n").hex)))
    assert not seal.is_on(KEY)


def test_another_key_makes_another_seal(tmp_path: Path) -> None:
    one, other = (Seal.open_or_create(tmp_path / name) for name in ("one", "other"))
    assert not one.is_on(other.put_on(KEY))


def test_the_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "seal.key"
    first = Seal.open_or_create(path).put_on(KEY)
    assert Seal.open_or_create(path).is_on(first)
    assert path.stat().st_mode & 0o077 == 0
    assert [entry.name for entry in path.parent.iterdir()] == ["seal.key"]
    assert "_key" not in repr(Seal.open(path))


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    Seal.open_or_create(path)
    path.chmod(0o644)
    with pytest.raises(ForbiddenError):
        Seal.open(path)


@pytest.mark.parametrize("text", ["", "ab", "x" * 64, "ab" * 33])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seal.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(CorruptedError):
        Seal.open(path)


def test_of_two_makers_both_get_the_key_of_the_faster(tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    first = Seal.open_or_create(path)
    create(path)
    assert Seal.open(path).is_on(first.put_on(KEY))
