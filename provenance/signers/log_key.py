"""The Ed25519 key of the log, in a file, made on first start; it signs checkpoints and nothing else."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from artifacts.errors import CorruptedError
from provenance.log.notes import NoteSigner
from provenance.signers import private_files


def open_or_create(path: Path, *, origin: str) -> NoteSigner:
    """Open the key of the log `origin` at `path`, or make one there if there is none.

    Raises:
        InvalidInputError: no log can have that name.
        ForbiddenError: the file or its folder could be read or changed by somebody else.
        CorruptedError: the file is not an Ed25519 private key.
        OSError: the file system refused.
    """
    private_files.make_folder(path.parent)
    try:
        return open_key(path, origin=origin)
    except FileNotFoundError:
        private_files.keep(path, private_files.pem_of(ed25519.Ed25519PrivateKey.generate()))
        return open_key(path, origin=origin)


def open_key(path: Path, *, origin: str) -> NoteSigner:
    """Open the key of the log `origin` at `path`, a PKCS#8 PEM that only its owner can read.

    Raises:
        FileNotFoundError: there is none.
        InvalidInputError: no log can have that name.
        ForbiddenError: somebody else could read or change it.
        CorruptedError: the file is not an Ed25519 private key.
    """
    pem = private_files.read(path)
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CorruptedError("the key of the log cannot be read", path=str(path)) from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise CorruptedError("the key of the log is not an Ed25519 key", path=str(path))
    return NoteSigner.of(origin, private)
