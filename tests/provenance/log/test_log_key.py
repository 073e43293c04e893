"""The key of the log: made once, its owner's alone, and of one kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.errors import CorruptedError, ForbiddenError, InvalidInputError
from provenance.signers import log_key
from provenance.signers.local import LocalSigner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "log-v1.pem"


def test_a_key_is_made_once_and_opened_afterwards(path: Path) -> None:
    made = log_key.open_or_create(path, origin="custody.test")
    assert log_key.open_or_create(path, origin="custody.test").key == made.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.key.name == "custody.test"


def test_a_key_that_others_can_read_is_not_used(path: Path) -> None:
    log_key.open_or_create(path, origin="custody.test")
    path.chmod(0o640)
    with pytest.raises(ForbiddenError):
        log_key.open_key(path, origin="custody.test")


def test_what_is_no_ed25519_key_is_refused(path: Path) -> None:
    LocalSigner.open_or_create(path)
    with pytest.raises(CorruptedError, match="not an Ed25519"):
        log_key.open_or_create(path, origin="custody.test")
    path.write_bytes(b"no key")
    with pytest.raises(CorruptedError, match="cannot be read"):
        log_key.open_key(path, origin="custody.test")


def test_a_log_has_a_name_of_one_word(path: Path) -> None:
    with pytest.raises(InvalidInputError):
        log_key.open_or_create(path, origin="two words")
