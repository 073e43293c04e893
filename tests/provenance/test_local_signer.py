"""The key on disk: made once, complete or not at all, and open to nobody else."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from artifacts.errors import CorruptedError, ForbiddenError
from provenance.signers import private_files
from provenance.signers.local import LocalSigner
from provenance.signing import sealed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "signing.pem"


def test_a_key_is_made_once_and_opened_ever_after(path: Path) -> None:
    first, second = LocalSigner.open_or_create(path), LocalSigner.open_or_create(path)
    assert first == second
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_signing_again_gives_the_same_bytes(path: Path) -> None:
    signer = LocalSigner.open_or_create(path)
    envelope = sealed("t", b"payload", signer)
    assert envelope == sealed("t", b"payload", LocalSigner.open(path))
    assert envelope.signatures[0].keyid == signer.public_key.keyid


def test_the_private_key_is_not_in_its_printed_form(path: Path) -> None:
    assert "private" not in repr(LocalSigner.open_or_create(path)).lower()


def _open(path: Path, answers: multiprocessing.SimpleQueue[str]) -> None:
    answers.put(LocalSigner.open_or_create(path).public_key.keyid)


def test_makers_that_race_open_the_same_key(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    makers = [context.Process(target=_open, args=(path, answers)) for _ in range(6)]
    for maker in makers:
        maker.start()
    keyids = {answers.get() for _ in makers}
    for maker in makers:
        maker.join()
    assert keyids == {LocalSigner.open(path).public_key.keyid}
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]


def test_a_slower_maker_keeps_the_key_of_the_faster(path: Path) -> None:
    signer = LocalSigner.open_or_create(path)
    draft = path.with_name("draft")
    draft.write_bytes(b"another key")
    private_files._publish(draft, path)
    assert LocalSigner.open(path) == signer


def test_what_a_crash_left_beside_it_is_not_the_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    (path.parent / ".signing.pem.0123.tmp").write_bytes(b"-----BEGIN PRI")
    assert LocalSigner.open_or_create(path) == LocalSigner.open(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_key_that_others_can_read_or_change_is_refused(path: Path, mode: int) -> None:
    LocalSigner.open_or_create(path)
    path.chmod(mode)
    with pytest.raises(ForbiddenError) as caught:
        LocalSigner.open_or_create(path)
    assert "chmod" in str(caught.value.hint)
    assert path.stat().st_size > 0


@pytest.mark.parametrize("mode", [0o750, 0o701])
def test_a_folder_that_others_can_enter_is_refused(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)
    with pytest.raises(ForbiddenError):
        LocalSigner.open_or_create(path)
    assert not list(path.parent.iterdir())


def test_links_pipes_and_folders_are_refused(path: Path, tmp_path: Path) -> None:
    real = LocalSigner.open_or_create(path)
    (path.parent / "link.pem").symlink_to(path)
    os.mkfifo(path.parent / "pipe.pem", 0o600)
    (path.parent / "folder.pem").mkdir(mode=0o700)
    for name in ("link.pem", "pipe.pem", "folder.pem"):
        with pytest.raises(ForbiddenError):
            LocalSigner.open_or_create(path.with_name(name))
    (tmp_path / "way").symlink_to(path.parent)
    with pytest.raises(ForbiddenError):
        LocalSigner.open_or_create(tmp_path / "way" / path.name)
    assert LocalSigner.open(path) == real


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_key_is_refused(path: Path) -> None:
    LocalSigner.open_or_create(path)
    os.chown(path, 65534, -1)
    with pytest.raises(ForbiddenError) as caught:
        LocalSigner.open(path)
    assert "another user" in caught.value.message


def _pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, passphrase: bytes = b"") -> bytes:
    form = serialization.PrivateFormat.PKCS8
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, how)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        _pem(ec.generate_private_key(ec.SECP256R1()))[:100],
        _pem(ec.generate_private_key(ec.SECP256R1()), b"passphrase"),
        _pem(ec.generate_private_key(ec.SECP384R1())),
        _pem(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=["empty", "nonsense", "half", "encrypted", "P-384", "Ed25519"],
)
def test_what_is_no_signing_key_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(CorruptedError):
        LocalSigner.open_or_create(path)
    assert path.read_bytes() == content
