"""Sigstore bundle v0.3: an envelope plus what is needed to verify it.

Written for a managed key; read also where the material is a certificate, which is kept
and not judged here. The proto JSON of bundles has no room for members of our own: strict
readers refuse them, and so does this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import orjson

from artifacts.errors import EvidenceError
from artifacts.strict_json import JsonObject, JsonValue, loads
from provenance import canonical_base64
from provenance.dsse import MAX_ENVELOPE_BYTES, Envelope

BUNDLE_V03: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
ACCEPTED_MEDIA_TYPES: Final = frozenset(
    {BUNDLE_V03, *(f"application/vnd.dev.sigstore.bundle+json;version=0.{minor}" for minor in (1, 2, 3))}
)
MAX_ENTRIES: Final = 32
"""Log entries or timestamps of one bundle; sigstore-go refuses more."""

_TOP: Final = frozenset({"mediaType", "verificationMaterial", "dsseEnvelope"})
_KEY_MATERIAL: Final = frozenset({"publicKey", "certificate", "x509CertificateChain"})
_MATERIAL: Final = _KEY_MATERIAL | {"tlogEntries", "timestampVerificationData"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """One envelope with exactly one signature, and its verification material.

    Invariant: there is a public key hint, equal to the keyid of the signature, or else
    at least one certificate.
    """

    envelope: Envelope
    hint: str | None
    certificates: tuple[bytes, ...] = ()
    tlog_entries: tuple[JsonObject, ...] = field(default=(), repr=False)
    timestamps: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if len(self.envelope.signatures) != 1:
            raise EvidenceError(
                "a bundle has exactly one signature", signatures=len(self.envelope.signatures)
            )
        if self.hint is not None and self.hint != self.envelope.signatures[0].keyid:
            raise EvidenceError("the hint of a bundle equals the keyid of its signature")
        if (self.hint is None) != bool(self.certificates):
            raise EvidenceError("a bundle names a public key or carries certificates")

    @classmethod
    def of(cls, envelope: Envelope) -> Bundle:
        """Wrap an envelope that a managed key signed.

        Raises:
            EvidenceError: `envelope` has not exactly one signature.
        """
        return cls(envelope, envelope.signatures[0].keyid if envelope.signatures else "")

    def to_bytes(self) -> bytes:
        """Write the bundle, with sorted members and no spaces; the same bundle, the same bytes."""
        return orjson.dumps(
            {
                "mediaType": BUNDLE_V03,
                "verificationMaterial": {
                    **self._key_material(),
                    "tlogEntries": self.tlog_entries,
                    "timestampVerificationData": {
                        "rfc3161Timestamps": [
                            {"signedTimestamp": canonical_base64.encode(stamp)} for stamp in self.timestamps
                        ]
                    },
                },
                "dsseEnvelope": self.envelope.to_dict(),
            },
            option=orjson.OPT_SORT_KEYS,
        )

    def _key_material(self) -> JsonObject:
        if self.hint is not None:
            return {"publicKey": {"hint": self.hint}}
        return {"certificate": {"rawBytes": canonical_base64.encode(self.certificates[0])}}

    @classmethod
    def parse(cls, raw: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Bundle:
        """Read a bundle that carries a DSSE envelope.

        Raises:
            LimitExceededError: `raw` is too long.
            MalformedJsonError: `raw` is not strict JSON.
            EvidenceError: it is not such a bundle.
        """
        return cls.from_dict(loads(raw, max_bytes=max_bytes))

    @classmethod
    def from_dict(cls, value: JsonValue) -> Bundle:
        """Read a bundle from strict JSON.

        Raises:
            EvidenceError: it is not a bundle that carries a DSSE envelope.
        """
        bundle = _object(value, "a bundle", _TOP)
        if str(bundle.get("mediaType")) not in ACCEPTED_MEDIA_TYPES:
            raise EvidenceError("not a Sigstore bundle of version 0.1 to 0.3")
        material = _object(bundle.get("verificationMaterial"), "verificationMaterial", _MATERIAL)
        hint, certificates = _key_material(material)
        return cls(
            Envelope.from_dict(bundle.get("dsseEnvelope")),
            hint,
            certificates,
            tuple(_entries(material.get("tlogEntries"), "tlogEntries")),
            _timestamps(material.get("timestampVerificationData")),
        )


def read_envelope(raw: bytes, *, max_bytes: int = MAX_ENVELOPE_BYTES) -> Envelope:
    """Read an envelope, bare or inside a bundle.

    Raises:
        LimitExceededError: `raw` is too long.
        MalformedJsonError: `raw` is not strict JSON.
        EvidenceError: it is neither.
    """
    value = loads(raw, max_bytes=max_bytes)
    if isinstance(value, dict) and "mediaType" in value:
        return Bundle.from_dict(value).envelope
    return Envelope.from_dict(value)


def _object(value: JsonValue, what: str, known: frozenset[str]) -> JsonObject:
    if not isinstance(value, dict):
        raise EvidenceError(f"{what} is an object")
    if unknown := value.keys() - known:
        raise EvidenceError(f"{what} has a member that no reader knows", member=min(unknown)[:200])
    return value


def _key_material(material: JsonObject) -> tuple[str | None, tuple[bytes, ...]]:
    given = material.keys() & _KEY_MATERIAL
    if len(given) != 1:
        raise EvidenceError("a bundle has one of publicKey, certificate and x509CertificateChain")
    kind = given.pop()
    if kind == "publicKey":
        hint = _object(material[kind], kind, frozenset({"hint"})).get("hint", "")
        if not isinstance(hint, str):
            raise EvidenceError("the hint of a bundle is text")
        return hint, ()
    if kind == "certificate":
        return None, (_certificate(material[kind]),)
    chain = _object(material[kind], kind, frozenset({"certificates"}))
    return None, tuple(map(_certificate, _entries(chain.get("certificates"), "certificates")))


def _certificate(value: JsonValue) -> bytes:
    given = _object(value, "certificate", frozenset({"rawBytes"}))
    return canonical_base64.decode(given.get("rawBytes"), "rawBytes")


def _timestamps(value: JsonValue) -> tuple[bytes, ...]:
    if value is None:
        return ()
    stamps = _object(value, "timestampVerificationData", frozenset({"rfc3161Timestamps"}))
    return tuple(
        canonical_base64.decode(stamp.get("signedTimestamp"), "signedTimestamp")
        for stamp in _entries(stamps.get("rfc3161Timestamps"), "rfc3161Timestamps")
    )


def _entries(value: JsonValue, what: str) -> list[JsonObject]:
    """The objects of a repeated field; unset and null are empty in proto JSON."""
    given = [] if value is None else value
    if not isinstance(given, list) or len(given) > MAX_ENTRIES:
        raise EvidenceError(f"{what} is a list of at most {MAX_ENTRIES}")
    entries = [entry for entry in given if isinstance(entry, dict)]
    if len(entries) != len(given):
        raise EvidenceError(f"{what} holds objects")
    return entries
