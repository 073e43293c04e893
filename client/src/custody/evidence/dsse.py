"""Dead Simple Signing Envelope 1.0.2: what is signed, and who signed it.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from custody.evidence import canonical_base64
from custody.evidence.errors import EvidenceError
from custody.evidence.keys import PublicKey
from custody.strict_json import JsonValue, loads

MAX_ENVELOPE_BYTES: Final = 32 * 1024 * 1024
"""An envelope or bundle as JSON: the largest record, in base64, fits."""
MAX_SIGNATURES: Final = 32
"""Signatures of one envelope; each costs a verification per key."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed. Lengths count bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature; `keyid` is a hint that nobody vouches for."""

    sig: bytes
    keyid: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signatures, parsed and not yet verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
        """Read an envelope from JSON.

        Raises:
                MalformedJsonError: `raw` is not strict JSON.
            EvidenceError: it is not an envelope.
        """
        return cls.from_dict(loads(raw, max_bytes=max_bytes))

    @classmethod
    def from_dict(cls, value: JsonValue) -> Envelope:
        """Read an envelope from strict JSON; members nobody knows are ignored, as DSSE demands.

        Raises:
            EvidenceError: it is not an envelope.
        """
        match value:
            case {"payloadType": str(kind), "payload": payload, "signatures": list(given)} if kind:
                pass
            case _:
                raise EvidenceError("not a DSSE envelope: needs payload, payloadType and signatures")
        if not 1 <= len(given) <= MAX_SIGNATURES:
            raise EvidenceError(f"an envelope has 1 to {MAX_SIGNATURES} signatures")
        return cls(kind, canonical_base64.decode(payload, "payload"), tuple(map(_signature, given)))


def verify(envelope: Envelope, keys: Iterable[PublicKey], threshold: int = 1) -> frozenset[PublicKey]:
    """Return which of `keys` signed `envelope`, at least `threshold` of them.

    Every key is tried on every signature: a keyid is neither needed nor believed, a
    signature that fails is passed over, and keys are counted, not signatures.

    Raises:
        EvidenceError: fewer than `threshold` different keys signed it.
        ValueError: `threshold` is below one.
    """
    if threshold < 1:
        raise ValueError("a threshold is at least 1")
    message = pae(envelope.payload_type, envelope.payload)
    signers = frozenset(
        key
        for key in set(keys)
        if any(key.verify(signature.sig, message) for signature in envelope.signatures)
    )
    if len(signers) < threshold:
        raise EvidenceError("not signed by enough of the trusted keys")
    return signers


def _signature(value: JsonValue) -> Signature:
    match value:
        case {"sig": sig, **rest}:
            # Unset, empty and null all mean that there is no hint.
            keyid = rest.get("keyid") or ""
        case _:
            raise EvidenceError("a DSSE signature needs sig")
    if not isinstance(keyid, str):
        raise EvidenceError("a keyid is text")
    return Signature(canonical_base64.decode(sig, "sig"), keyid)
