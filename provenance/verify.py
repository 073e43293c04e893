"""The check list: what must hold before we say that an artifact was built as stated.

1. The envelope is signed by a key of the roots of trust; keyids are not believed.
2. The payload type is an in-toto statement's. It is part of what was signed.
3. The statement is parsed from the very bytes that were verified, strictly; duplicate
   members are refused, and so is in-toto 0.1.
4. The artifact is a subject: a strong digest agrees and no known one contradicts.
5. The predicate is SLSA provenance v1. A signed record of a failed step is well signed
   and is not provenance.
6. The pair of signing key and builder is one of the roots: a key trusted for one builder
   says nothing for another.
7. The level is what the roots say of that pair; by default no level is claimed. What an
   attestation says of its own level is not read.
8. Each expectation holds, at its minimum label.

The first of steps 1 to 6 that fails ends it, and nothing after it is looked at. Nothing
is verified by default: `Verified` cannot be built without a statement that was checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError
from artifacts.refs import Evidence
from provenance import dsse
from provenance.dsse import Envelope
from provenance.expectations import Check, Expectations
from provenance.keys import PublicKey
from provenance.predicate import PROVENANCE_V1, Provenance
from provenance.statement import STATEMENT_V1, Statement, Subject

_PAYLOAD_TYPE: Final = re.compile(r"application/vnd\.in-toto(\.[A-Za-z0-9_.-]+)?\+json")
_NOTHING_EXPECTED: Final = Expectations()


@dataclass(frozen=True, slots=True)
class TrustedBuilder:
    """One pair of the roots of trust: this key may speak for this builder."""

    key: PublicKey
    builder_id: str
    level: int | None = None
    """The SLSA build level the verifier grants this pair; None claims none."""
    parameters_label: Evidence = Evidence.REPORTED
    """How far this builder proves the parameters that it states."""


@dataclass(frozen=True, slots=True)
class CheckedStatement:
    """A statement that passed steps 1 to 7, and what passing them showed."""

    statement: Statement
    provenance: Provenance
    subject: Subject
    builder: TrustedBuilder
    payload: Digest
    """With the key, the identity of the verified signature, however it was encoded."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Every check held, for the statement named."""

    checked: CheckedStatement
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A check failed; the last ones say which."""

    checks: tuple[Check, ...]


Verdict: TypeAlias = Verified | Refused


class _FailedError(Exception):
    """A check failed; what comes after it is not looked at."""


@dataclass(slots=True)
class _Ledger:
    checks: list[Check] = field(default_factory=list)

    def passed(self, name: str, text: str) -> None:
        self.checks.append(Check(name, ok=True, text=text))

    def failed(self, name: str, text: str) -> NoReturn:
        self.checks.append(Check(name, ok=False, text=text))
        raise _FailedError


def verify(
    envelope: Envelope,
    *,
    roots: Sequence[TrustedBuilder],
    artifact: Mapping[str, str],
    expectations: Expectations = _NOTHING_EXPECTED,
) -> Verdict:
    """Follow the procedure above.

    Args:
        envelope: The evidence, parsed and not verified.
        roots: Which key may speak for which builder, as the verifier decided beforehand.
        artifact: The digests of the artifact in question.
        expectations: What else must hold.
    """
    ledger = _Ledger()
    try:
        signers = _signers(envelope, roots, ledger)  # 1
        _payload_type(envelope, ledger)  # 2
        statement = _statement(envelope, ledger)  # 3
        subject = _subject(statement, artifact, ledger)  # 4
        provenance = _provenance(statement, ledger)  # 5
        builder = _builder(provenance, signers, ledger)  # 6, 7
    except _FailedError:
        return Refused(tuple(ledger.checks))
    # 8. All expectations, so that one look shows everything that is wrong.
    ledger.checks.extend(expectations.checks(provenance, builder.parameters_label))
    if not all(check.ok for check in ledger.checks):
        return Refused(tuple(ledger.checks))
    checked = CheckedStatement(statement, provenance, subject, builder, Digest.of(envelope.payload))
    return Verified(checked, tuple(ledger.checks))


def _signers(
    envelope: Envelope, roots: Sequence[TrustedBuilder], ledger: _Ledger
) -> tuple[TrustedBuilder, ...]:
    # 1. Envelope signature.
    try:
        keys = dsse.verify(envelope, {root.key for root in roots})
    except EvidenceError as error:
        ledger.failed("signature", error.message)
    ledger.passed("signature", ", ".join(sorted(key.keyid for key in keys)))
    return tuple(root for root in roots if root.key in keys)


def _payload_type(envelope: Envelope, ledger: _Ledger) -> None:
    # 2. Payload type.
    if not _PAYLOAD_TYPE.fullmatch(envelope.payload_type):
        ledger.failed("payload type", f"{envelope.payload_type[:200]} is not an in-toto statement's")
    ledger.passed("payload type", envelope.payload_type)


def _statement(envelope: Envelope, ledger: _Ledger) -> Statement:
    # 3. Statement, from the verified bytes.
    try:
        statement = Statement.parse(envelope.payload)
    except CustodyError as error:
        ledger.failed("statement", error.message)
    if statement.type_uri != STATEMENT_V1:
        ledger.failed("statement", f"{statement.type_uri} is out of date")
    ledger.passed("statement", statement.type_uri)
    return statement


def _subject(statement: Statement, artifact: Mapping[str, str], ledger: _Ledger) -> Subject:
    # 4. Subject.
    matching = statement.matching(artifact)
    if not matching:
        ledger.failed("subject", "the statement is about other artifacts")
    ledger.passed("subject", matching[0].name or "without a name")
    return matching[0]


def _provenance(statement: Statement, ledger: _Ledger) -> Provenance:
    # 5. Predicate type.
    if statement.predicate_type != PROVENANCE_V1:
        ledger.failed("predicate", f"{statement.predicate_type[:200]} is not provenance")
    try:
        provenance = Provenance.parse(statement.predicate)
    except EvidenceError as error:
        ledger.failed("predicate", f"{error.message}: {error.facts.get('at')}")
    ledger.passed("predicate", statement.predicate_type)
    return provenance


def _builder(provenance: Provenance, signers: Sequence[TrustedBuilder], ledger: _Ledger) -> TrustedBuilder:
    # 6. Key and builder.
    builder = next((root for root in signers if root.builder_id == provenance.builder_id), None)
    if builder is None:
        ledger.failed("trusted builder", f"this key may not speak for {provenance.builder_id[:200]}")
    ledger.passed("trusted builder", builder.builder_id)
    # 7. Level: ours, never the attestation's.
    ledger.passed(
        "level", "no level claimed" if builder.level is None else f"SLSA build level {builder.level}"
    )
    return builder
