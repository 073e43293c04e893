"""Leaves: what of a signature stands in the log, in the shape of a Rekor v2 `hashedrekord` 0.0.2.

A leaf tells the digest of what was signed, the signature and the key, so it gives away nothing
of the statement and proves itself: whoever has the leaf can check the signature. The JSON is
canonical (RFC 8785); all its values are base64 or fixed words, so the text is a template.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from custody.evidence.bundle import Bundle
from custody.evidence.dsse import pae
from custody.evidence.errors import EvidenceError
from custody.evidence.keys import PublicKey
from custody.evidence.log.tiles import MAX_ENTRY

_BEFORE_DIGEST: Final = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":'
    b'{"data":{"algorithm":"SHA2_256","digest":"'
)
_BEFORE_SIGNATURE: Final = b'"},"signature":{"content":"'
_BEFORE_KEY: Final = b'","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"'
_END: Final = b'"}}}}}}'
_BASE64: Final = rb"((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)"
_FORM: Final = re.compile(
    _BASE64.join(map(re.escape, (_BEFORE_DIGEST, _BEFORE_SIGNATURE, _BEFORE_KEY, _END)))
)
_PREHASHED: Final = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One signature by a P-256 key, as the log has it."""

    digest: bytes
    """SHA-256 of what was signed: of the pre-authentication encoding."""
    signature: bytes
    spki: bytes
    """The key as DER SubjectPublicKeyInfo."""

    def to_bytes(self) -> bytes:
        """The entry of the log."""
        return b"".join(
            (
                _BEFORE_DIGEST,
                base64.b64encode(self.digest),
                _BEFORE_SIGNATURE,
                base64.b64encode(self.signature),
                _BEFORE_KEY,
                base64.b64encode(self.spki),
                _END,
            )
        )

    @property
    def keyid(self) -> str:
        """The fingerprint of the key, or nothing where it is none that signs statements."""
        try:
            return PublicKey.of(serialization.load_der_public_key(self.spki)).keyid
        except (EvidenceError, UnsupportedAlgorithm, ValueError):
            return ""

    @classmethod
    def of(cls, bundle: Bundle, key: PublicKey) -> Leaf:
        """The leaf of what `key` signed; that it did is for the caller to check, or `check`."""
        envelope = bundle.envelope
        signed = sha256(pae(envelope.payload_type, envelope.payload)).digest()
        return cls(signed, envelope.signatures[0].sig, key.spki)

    @classmethod
    def parse(cls, entry: bytes) -> Leaf:
        """Read an entry that is written to the byte as this service writes.

        Raises:
            EvidenceError: it is something else.
        """
        found = _FORM.fullmatch(entry) if len(entry) <= MAX_ENTRY else None
        if found is None:
            raise EvidenceError("an entry of the log is no hashedrekord 0.0.2")
        leaf = cls(*map(base64.b64decode, found.groups()))
        if len(leaf.digest) != sha256().digest_size or leaf.to_bytes() != entry:
            raise EvidenceError("an entry of the log is not written as it is here")
        return leaf

    def check(self) -> None:
        """Return if the key that the leaf names made the signature that it names.

        Raises:
            EvidenceError: it did not, or is no P-256 key.
        """
        try:
            key = serialization.load_der_public_key(self.spki)
            if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
                raise EvidenceError("the key of a leaf is not a P-256 key")
            key.verify(self.signature, self.digest, _PREHASHED)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
            raise EvidenceError("the signature of a leaf is wrong") from error
