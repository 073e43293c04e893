"""A P-256 key in a file, made on first start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.errors import CorruptedError
from provenance.dsse import Signature
from provenance.keys import PublicKey
from provenance.signers import private_files

# Deterministic (RFC 6979): signing the same statement again writes the same object.
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


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
        private_files.make_folder(path.parent)
        try:
            return cls.open(path)
        except FileNotFoundError:
            private = ec.generate_private_key(ec.SECP256R1())
            private_files.keep(path, private_files.pem_of(private))
            return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> LocalSigner:
        """Open the key at `path`, a PKCS#8 PEM that only its owner can read.

        Raises:
            FileNotFoundError: there is none.
            ForbiddenError: somebody else could read or change it.
            CorruptedError: the file is not a P-256 private key.
        """
        pem = private_files.read(path)
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
