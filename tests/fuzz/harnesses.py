"""One harness for each parser that faces strangers.

A harness takes any bytes. It may raise the documented errors of its parser and nothing
else; what it returns normally it has also checked: where the service and the client both
have the parser, they must agree, and what is written must read back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import orjson

from artifacts.digest import Digest, DigestSet
from artifacts.errors import CustodyError
from artifacts.refs import ArtifactRef, checked_output_name, checked_uri
from custody.evidence.errors import EvidenceError as ClientEvidenceError
from provenance.predicate import Provenance
from tests.conformance.implementations import CLIENT, SERVICE, Implementation

SEEDS = Path(__file__).parent / "seeds"
DOCUMENTED = (CustodyError, ClientEvidenceError)
# The generator of the curve, whose private key is 1: the seeds were signed with it.
_KEY = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""


class DisagreementError(Exception):
    """The service and the client do not read the same bytes alike."""


def _alike(parse: Callable[[Implementation], object]) -> object:
    """What both implementations return; both refuse, or neither."""
    answers: list[object] = []
    errors: list[Exception] = []
    for side in (SERVICE, CLIENT):
        try:
            answers.append(parse(side))
        except DOCUMENTED as error:
            errors.append(error)
    if len(errors) == 2:
        raise errors[0]
    if errors or repr(answers[0]) != repr(answers[1]):
        raise DisagreementError(f"{answers} {errors}")
    return answers[0]


def strict_json(data: bytes) -> None:
    """Strict JSON: read alike by both, by the standard library and by orjson."""
    value = _alike(lambda side: side.json.loads(data))
    if not repr(json.loads(data)) == repr(value) or orjson.loads(data) != value:
        raise DisagreementError(repr(value))


def envelope(data: bytes) -> None:
    """DSSE envelopes: read alike, and what is written reads back."""

    def parse(side: Implementation) -> object:
        read = side.dsse.Envelope.parse(data)
        return read.payload_type, read.payload, [(one.sig, one.keyid) for one in read.signatures]

    _alike(parse)
    read = SERVICE.dsse.Envelope.parse(data)
    if SERVICE.dsse.Envelope.from_dict(read.to_dict()) != read:
        raise DisagreementError("an envelope does not read back")


def bundle(data: bytes) -> None:
    """Sigstore bundles: read alike, and what is written reads back."""

    def parse(side: Implementation) -> object:
        read = side.bundle.Bundle.parse(data)
        return read.hint, read.certificates, read.timestamps, read.tlog_entries, read.envelope.payload

    _alike(parse)
    read = SERVICE.bundle.Bundle.parse(data)
    if len(read.certificates) < 2 and SERVICE.bundle.Bundle.parse(read.to_bytes()) != read:
        raise DisagreementError("a bundle does not read back")


def statement(data: bytes) -> None:
    """in-toto statements and the provenance in them: read alike."""

    def parse(side: Implementation) -> object:
        read = side.statement.Statement.parse(data)
        subjects = read.subject if side is SERVICE else read.subjects
        digests = [sorted(subject.digest.items()) for subject in subjects]
        return read.type_uri, read.predicate_type, digests, read.predicate or {}

    _alike(parse)
    Provenance.parse(SERVICE.statement.Statement.parse(data).predicate)


def verify(data: bytes) -> None:
    """The whole verification: never an unforeseen error, and never a yes to what the key did not sign."""

    def parse(side: Implementation) -> object:
        return side.verify(data, [_KEY], "sha256:" + "0" * 64, {}).verified

    if b"\n" not in data.strip() and _alike(parse):
        raise DisagreementError("verified what nobody signed")


def public_key(data: bytes) -> None:
    """PEM public keys: read alike."""
    _alike(lambda side: side.keys.PublicKey.from_pem(data).keyid)


def digest(data: bytes) -> None:
    """Digests in their written form: what is read is written the same."""
    text = data.decode(errors="surrogateescape")
    read = Digest.parse(text)
    if str(read) != text or Digest.parse(str(read)) != read or len(read.raw) * 2 != len(read.hex):
        raise DisagreementError(text)


def uri(data: bytes) -> None:
    """URIs and names of outputs: what is accepted is printable and stays as it was."""
    text = data.decode(errors="surrogateescape")
    with suppress(CustodyError):
        if checked_output_name(text) != text or (text.isascii() and not text.isprintable()):
            raise DisagreementError(text)
    ref = ArtifactRef(DigestSet.only(Digest.of(b"")), uri=checked_uri(text))
    if ref.uri != text or any(ord(letter) <= 32 for letter in text):
        raise DisagreementError(text)


@dataclass(frozen=True)
class Harness:
    """A parser under fuzzing, and inputs to begin with."""

    name: str
    fuzz_one: Callable[[bytes], None]

    def seeds(self) -> list[bytes]:
        """The checked-in inputs of this harness."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())]


HARNESSES = MappingProxyType(
    {
        parser.__name__: Harness(parser.__name__, parser)
        for parser in (strict_json, envelope, bundle, statement, verify, public_key, digest, uri)
    }
)
