"""What a signer is."""

from __future__ import annotations

from typing import Protocol

from provenance.dsse import Envelope, Signature, pae
from provenance.keys import PublicKey


class Signer(Protocol):
    """Signs the DSSE pre-authentication encoding, never the bare payload."""

    @property
    def public_key(self) -> PublicKey:
        """The key that verifies what `sign` makes."""

    def sign(self, message: bytes) -> Signature:
        """Return one signature over `message`, a pre-authentication encoding."""


def sealed(payload_type: str, payload: bytes, signer: Signer) -> Envelope:
    """Put `payload` in an envelope that `signer` signed."""
    return Envelope(payload_type, payload, (signer.sign(pae(payload_type, payload)),))
