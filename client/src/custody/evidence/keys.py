"""Public keys: the only thing that says who signed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from custody.evidence.errors import InvalidKeyError

_Key: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_ALGORITHMS: Final = {"secp256r1": ec.ECDSA(hashes.SHA256()), "secp384r1": ec.ECDSA(hashes.SHA384())}
_MAX_PEM: Final = 4096


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256, P-384 or Ed25519 key; equal when the key is the same, however it was written."""

    spki: bytes
    """The key as DER SubjectPublicKeyInfo: its identity."""
    _key: _Key = field(compare=False, repr=False)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a PEM `PUBLIC KEY`.

        Raises:
            InvalidKeyError: not a PEM public key, or of a kind that does not sign statements.
        """
        try:
            if len(pem) > _MAX_PEM:
                raise ValueError("too long")  # noqa: TRY301 - one message for every malformed key
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidKeyError("not a PEM public key") from error
        return cls.of(key)

    @classmethod
    def of(cls, key: object) -> PublicKey:
        """Take a key that cryptography has already parsed.

        Raises:
            InvalidKeyError: it is of a kind that does not sign statements.
        """
        if not isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)) or (
            isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _ALGORITHMS
        ):
            raise InvalidKeyError("not a key for statements: ECDSA P-256, P-384 or Ed25519")
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return cls(key.public_bytes(serialization.Encoding.DER, form), key)

    @property
    def pem(self) -> str:
        """The key as PEM, ending in a newline."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_bytes(serialization.Encoding.PEM, form).decode("ascii")

    @property
    def keyid(self) -> str:
        """The OpenSSH fingerprint, `SHA256:` and unpadded base64.

        Any other non-empty keyid makes cosign, gh and slsa-verifier skip the signature.
        """
        form = serialization.PublicFormat.OpenSSH
        line = self._key.public_bytes(serialization.Encoding.OpenSSH, form)
        wire = base64.b64decode(line.split(b" ")[1])
        return "SHA256:" + base64.b64encode(hashlib.sha256(wire).digest()).decode("ascii").rstrip("=")

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Say whether this key made `signature` over `message`.

        DSSE leaves the encoding of ECDSA signatures open, so DER and raw r||s are both
        read; the high S that half of all ordinary P-256 signatures have is accepted.
        """
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return _holds(self._key, signature, message)
        return _holds(self._key, signature, message) or _holds(
            self._key, _der_of_raw(signature, (self._key.key_size + 7) // 8), message
        )


def _holds(key: _Key, signature: bytes | None, message: bytes) -> bool:
    if signature is None:
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, _ALGORITHMS[key.curve.name])
    except InvalidSignature:
        return False
    return True


def _der_of_raw(signature: bytes, width: int) -> bytes | None:
    """DER of r||s, or None where `signature` cannot be that."""
    if len(signature) != 2 * width:
        return None
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    return utils.encode_dss_signature(r, s)
