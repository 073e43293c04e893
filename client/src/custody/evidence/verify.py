"""The check list: what must hold before we say that an artifact was built as stated.

1. The envelope is signed by a pinned key; keyids are not believed.
2. The payload type is an in-toto statement's. It is part of what was signed.
3. The statement is parsed from the very bytes that were verified, strictly; duplicate
   members are refused, and so is in-toto 0.1.
4. The artifact is a subject: a strong digest agrees and no known one contradicts. Where no
   artifact is named nothing is verified: any statement would do.
5. The predicate is SLSA provenance v1. A signed record of a failed step is well signed
   and is not provenance.
6. The builder is the one expected of that key. Custody has one key a builder, so the pin
   names the pair; with `builder_id` expected, it is compared too.
7. No level is claimed: a level is what a verifier's own map says, and a pin is no map.
8. Each expectation holds, at its minimum label.

The first of steps 1 to 5 that fails ends it, and nothing after it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn

from custody.evidence import dsse
from custody.evidence.bundle import read_envelopes
from custody.evidence.dsse import Envelope
from custody.evidence.errors import EvidenceError
from custody.evidence.expectations import Check, Expectations
from custody.evidence.keys import PublicKey
from custody.evidence.provenance import PROVENANCE_V1, Provenance
from custody.evidence.statement import STATEMENT_V1, Statement

_PAYLOAD_TYPE: Final = re.compile(r"application/vnd\.in-toto(\.[A-Za-z0-9_.-]+)?\+json")
_NOTHING_EXPECTED: Final = Expectations()


class Outcome(StrEnum):
    """What a verification came to."""

    VERIFIED = "verified"
    FAILED = "failed"
    SIGNER_UNKNOWN = "signer unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, line by line.

    Invariant: a verified report has a statement, and every check of it held.
    """

    outcome: Outcome
    checks: tuple[Check, ...]
    statement: Statement | None = None
    """Parsed from verified bytes, however the later checks went; None where there are none."""
    signers: tuple[str, ...] = ()
    """Keyids of the pinned keys that signed it, worked out from the keys."""

    def __post_init__(self) -> None:
        if self.verified and (self.statement is None or not all(check.ok for check in self.checks)):
            raise ValueError("a verified report has a statement and no failed check")

    @property
    def verified(self) -> bool:
        """Whether every check held."""
        return self.outcome is Outcome.VERIFIED


class _FailedError(Exception):
    """A check failed; what comes after it is not looked at."""


@dataclass(slots=True)
class _Ledger:
    checks: list[Check] = field(default_factory=list)
    outcome: Outcome = Outcome.FAILED
    statement: Statement | None = None
    signers: tuple[str, ...] = ()

    def passed(self, name: str, text: str) -> None:
        self.checks.append(Check(name, ok=True, text=text))

    def failed(self, name: str, text: str) -> NoReturn:
        self.checks.append(Check(name, ok=False, text=text))
        raise _FailedError

    def report(self) -> Report:
        return Report(self.outcome, tuple(self.checks), self.statement, self.signers)


def verify(
    raw: bytes,
    *,
    keys: Sequence[PublicKey],
    artifact: str | None,
    expectations: Expectations = _NOTHING_EXPECTED,
) -> Report:
    """Follow the procedure above on every envelope in `raw`; one that passes is enough.

    Nobody vouches for a file of several lines as a whole, so lines that fail say nothing
    about the one that passes. Where none does, the report is of the one that came furthest.

    Args:
        raw: A Sigstore bundle, a DSSE envelope, or one of these a line.
        keys: The pinned keys.
        artifact: The digest of the artifact, `sha256:<hex>`.
        expectations: What else must hold.

    Raises:
        EvidenceError: `raw` cannot be read at all, or `artifact` is not written as a digest.
    """
    digests = _digests(artifact)
    reports = [_report(envelope, keys, digests, expectations) for envelope in read_envelopes(raw)]
    return max(reports, key=lambda report: (report.verified, sum(check.ok for check in report.checks)))


def _digests(artifact: str | None) -> Mapping[str, str]:
    if artifact is None:
        return {}
    algorithm, colon, value = artifact.partition(":")
    if not (algorithm and colon and value):
        raise EvidenceError("a digest is written algorithm:hex")
    return {algorithm: value}


def _report(
    envelope: Envelope, keys: Sequence[PublicKey], artifact: Mapping[str, str], expectations: Expectations
) -> Report:
    ledger = _Ledger()
    try:
        _signature(envelope, keys, ledger)  # 1
        _payload_type(envelope, ledger)  # 2
        statement = _statement(envelope, ledger)  # 3
        _subject(statement, artifact, ledger)  # 4
        provenance = _provenance(statement, ledger)  # 5
    except _FailedError:
        return ledger.report()
    # 6. Builder, and 7. level.
    ledger.passed("builder", f"{provenance.builder_id} (as the pinned key states it)")
    ledger.passed("level", "no level claimed")
    # 8. All expectations, so that one look shows everything that is wrong.
    ledger.checks.extend(expectations.checks(provenance))
    if all(check.ok for check in ledger.checks):
        ledger.outcome = Outcome.VERIFIED
    return ledger.report()


def _signature(envelope: Envelope, keys: Sequence[PublicKey], ledger: _Ledger) -> None:
    # 1. Envelope signature.
    try:
        signers = dsse.verify(envelope, keys)
    except EvidenceError:
        pinned = {key.keyid for key in keys}
        claimed = {signature.keyid for signature in envelope.signatures}
        if not keys or (all(claimed) and claimed.isdisjoint(pinned)):
            # Only the wording rests on the keyid; either way nothing is verified.
            ledger.outcome = Outcome.SIGNER_UNKNOWN
            ledger.failed("signature", "well-formed, signer unknown: not signed by a pinned key")
        ledger.failed("signature", "the signature does not hold for any pinned key")
    ledger.signers = tuple(sorted(key.keyid for key in signers))
    ledger.passed("signature", ", ".join(ledger.signers))


def _payload_type(envelope: Envelope, ledger: _Ledger) -> None:
    # 2. Payload type.
    if not _PAYLOAD_TYPE.fullmatch(envelope.payload_type):
        ledger.failed("payload type", f"{envelope.payload_type[:200]} is not an in-toto statement's")
    ledger.passed("payload type", envelope.payload_type)


def _statement(envelope: Envelope, ledger: _Ledger) -> Statement:
    # 3. Statement, from the verified bytes.
    try:
        ledger.statement = statement = Statement.parse(envelope.payload)
    except EvidenceError as error:
        ledger.failed("statement", str(error))
    if statement.type_uri != STATEMENT_V1:
        ledger.failed("statement", f"{statement.type_uri} is out of date")
    ledger.passed("statement", statement.type_uri)
    return statement


def _subject(statement: Statement, artifact: Mapping[str, str], ledger: _Ledger) -> None:
    # 4. Subject.
    if not artifact:
        ledger.failed("subject", "no artifact was named to compare with")
    matching = statement.matching(artifact)
    if not matching:
        ledger.failed("subject", "the statement is about other artifacts")
    ledger.passed("subject", matching[0].name or "without a name")


def _provenance(statement: Statement, ledger: _Ledger) -> Provenance:
    # 5. Predicate type.
    if statement.predicate_type != PROVENANCE_V1:
        ledger.failed("predicate", f"{statement.predicate_type[:200]} is not provenance")
    try:
        provenance = Provenance.parse(statement.predicate)
    except EvidenceError as error:
        ledger.failed("predicate", str(error))
    ledger.passed("predicate", statement.predicate_type)
    return provenance
