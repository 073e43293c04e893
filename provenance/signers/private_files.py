"""Key files: complete and on disk before they have a name, and readable by their owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from artifacts.errors import ForbiddenError

_MAX_KEY_FILE: Final = 4096
_FORBIDDEN_MODE: Final = stat.S_IRWXG | stat.S_IRWXO


def make_folder(path: Path) -> None:
    """Make the folder of a key, or check that the one there is its owner's alone.

    Raises:
        ForbiddenError: somebody else could read or change what lies there.
        OSError: the file system refused.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_private(path.lstat(), path, stat.S_ISDIR)


def pem_of(private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A private key as an unencrypted PKCS#8 PEM."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def keep(path: Path, pem: bytes) -> None:
    """Write a new key beside `path`, then give it its name unless another maker was first."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(descriptor)
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _check_private(status: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
    if not is_kind(status.st_mode):
        raise ForbiddenError("a signing key is a plain file in a plain folder", path=str(path))
    if status.st_uid != os.geteuid():
        raise ForbiddenError(
            "the signing key belongs to another user", hint=f"chown it to uid {os.geteuid()}", path=str(path)
        )
    if status.st_mode & _FORBIDDEN_MODE:
        raise ForbiddenError(
            "the signing key is open to other users", hint=f"chmod go-rwx {path}", path=str(path)
        )


def read(path: Path) -> bytes:
    """The content of a key file that only its owner can read.

    Raises:
        FileNotFoundError: there is none.
        ForbiddenError: somebody else could read or change it.
    """
    try:
        # What is checked is what is read: one descriptor, no link followed, no pipe waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ForbiddenError(
            "the signing key cannot be opened", path=str(path), reason=str(error.strerror)
        ) from error
    try:
        _check_private(os.fstat(descriptor), path, stat.S_ISREG)
        return os.read(descriptor, _MAX_KEY_FILE)
    finally:
        os.close(descriptor)


def _publish(draft: Path, path: Path) -> None:
    """Link `draft` to `path`; a link, unlike a rename, never replaces the key of a faster maker."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
    for folder in (path.parent, path.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
