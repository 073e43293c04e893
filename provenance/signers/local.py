"""A P-256 key in a file, made on first start."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.errors import CorruptedError, ForbiddenError
from provenance.dsse import Signature
from provenance.keys import PublicKey

# Deterministic (RFC 6979): signing the same statement again writes the same object.
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_MAX_KEY_FILE: Final = 4096
_FORBIDDEN_MODE: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class LocalSigner:
    """Signs with a private key held in this process."""

    public_key: PublicKey
    _private: ec.EllipticCurvePrivateKey = field(compare=False, repr=False)
    _keyid: str = field(compare=False, repr=False)

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey) -> LocalSigner:
        """Sign with `private`."""
        public_key = PublicKey.of(private.public_key())
        return cls(public_key, private, public_key.keyid)

    @classmethod
    def open_or_create(cls, path: Path) -> LocalSigner:
        """Open the key at `path`, or make one there if there is none.

        Safe to race and safe to crash: a new key is complete and on disk before it gets
        its name, and of two makers the first one's key is what both open.

        Raises:
            ForbiddenError: the file or its folder could be read or changed by somebody else.
            CorruptedError: the file is not a P-256 private key.
            OSError: the file system refused.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_private(path.parent.lstat(), path.parent, stat.S_ISDIR)
        try:
            return cls.open(path)
        except FileNotFoundError:
            _create(path)
            return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> LocalSigner:
        """Open the key at `path`, a PKCS#8 PEM that only its owner can read.

        Raises:
            FileNotFoundError: there is none.
            ForbiddenError: somebody else could read or change it.
            CorruptedError: the file is not a P-256 private key.
        """
        pem = _read_private(path)
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CorruptedError("the signing key cannot be read", path=str(path)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
            raise CorruptedError("the signing key is not a P-256 key", path=str(path))
        return cls.of(private)

    def sign(self, message: bytes) -> Signature:
        """Return the one DER signature that this key makes over `message`."""
        return Signature(self._private.sign(message, _ALGORITHM), self._keyid)


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


def _read_private(path: Path) -> bytes:
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


def _create(path: Path) -> None:
    """Write a new key beside `path`, then give it its name unless another maker was first."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
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
