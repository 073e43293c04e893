"""The service's and the client's readers of evidence, behind one face.

They share no code on purpose (the client imports none of the service), so the same tests
drive both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artifacts import strict_json as service_json
from artifacts.errors import CustodyError, MalformedJsonError
from custody import strict_json as client_json
from custody.evidence import bundle as client_bundle
from custody.evidence import dsse as client_dsse
from custody.evidence import errors as client_errors
from custody.evidence import expectations as client_expectations
from custody.evidence import keys as client_keys
from custody.evidence import statement as client_statement
from custody.evidence import verify as client_verify
from provenance import bundle, dsse, expectations, keys, statement, verify
from provenance.verify import TrustedBuilder, Verified

BUILDER = "https://custody.example/builders/local/v1"


@dataclass(frozen=True)
class Outcome:
    """What either verification said, in words both can say."""

    verified: bool
    failed: frozenset[str]


# The two sides have separate types with the same members; `Any` lets one test hold either.
@dataclass(frozen=True)
class Implementation:
    name: str
    json: Any
    dsse: Any
    bundle: Any
    keys: Any
    statement: Any
    expectations: Any
    refused: type[Exception]
    malformed: type[Exception]
    read: Callable[[bytes], Any]
    verify: Callable[..., Outcome]

    def __str__(self) -> str:
        return self.name

    def verify_bundle(self, raw: bytes, pem: bytes) -> bool:
        """Whether the one signature of the bundle holds for the key."""
        envelope = self.bundle.Bundle.parse(raw).envelope
        return bool(self.dsse.verify(envelope, [self.keys.PublicKey.from_pem(pem)]))


def _service_verify(
    raw: bytes, pems: Sequence[bytes], artifact: str, expected: Mapping[str, object], builder: str = BUILDER
) -> Outcome:
    algorithm, _, value = artifact.partition(":")
    verdict = verify.verify(
        bundle.read_envelope(raw),
        roots=[TrustedBuilder(keys.PublicKey.from_pem(pem), builder) for pem in pems],
        artifact={algorithm: value},
        expectations=expectations.Expectations.parse(expected),
    )
    failed = frozenset(check.name for check in verdict.checks if not check.ok)
    return Outcome(isinstance(verdict, Verified), failed)


def _client_verify(
    raw: bytes, pems: Sequence[bytes], artifact: str, expected: Mapping[str, object], builder: str = BUILDER
) -> Outcome:
    report = client_verify.verify(
        raw,
        keys=[client_keys.PublicKey.from_pem(pem) for pem in pems],
        artifact=artifact,
        expectations=client_expectations.Expectations.parse({"builder_id": builder, **expected}),
    )
    failed = frozenset(check.name for check in report.checks if not check.ok)
    return Outcome(report.verified, failed)


SERVICE = Implementation(
    "service",
    service_json,
    dsse,
    bundle,
    keys,
    statement,
    expectations,
    CustodyError,
    MalformedJsonError,
    bundle.read_envelope,
    _service_verify,
)
CLIENT = Implementation(
    "client",
    client_json,
    client_dsse,
    client_bundle,
    client_keys,
    client_statement,
    client_expectations,
    client_errors.EvidenceError,
    client_errors.MalformedJsonError,
    lambda raw: client_bundle.read_envelopes(raw)[0],
    _client_verify,
)
BOTH = (SERVICE, CLIENT)
