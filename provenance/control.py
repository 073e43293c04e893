"""Statements that bytes were removed, and that a hold was placed or lifted: pure functions.

`docs/formats.md` (Control objects) has the members. The same decision always gives the same
statement, and a statement is read only if it is, to the byte, what its decision gives.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypedDict

from artifacts.clock import written
from artifacts.control import Decision, EventName, HoldEvent, RemovalName, Tombstone
from artifacts.digest import Digest
from artifacts.errors import EvidenceError, InvalidInputError, LimitExceededError
from artifacts.limits import KIB
from artifacts.strict_json import loads
from artifacts.wire import Wire
from provenance.slsa import Descriptor
from provenance.statement import STATEMENT_V1, Statement, parsed
from provenance.writer import encode

TOMBSTONE: Final = "/predicates/tombstone/v1"
HOLD: Final = "/predicates/hold/v1"
_MAX_BYTES: Final = 64 * KIB


class ControlStatement(TypedDict):
    """An in-toto statement about stored bytes, as we write it."""

    _type: str
    subject: list[Descriptor]
    predicateType: str
    predicate: dict[str, object]


def statement(decision: Decision, *, public_url: str) -> ControlStatement:
    """State what was decided."""
    if isinstance(decision, Tombstone):
        kind, predicate = TOMBSTONE, _of_tombstone(decision)
    else:
        kind, predicate = HOLD, _of_hold(decision)
    digest = decision.name.digest
    return {
        "_type": STATEMENT_V1,
        "subject": [{"name": str(digest), "digest": {digest.algorithm: digest.hex}}],
        "predicateType": public_url + kind,
        "predicate": predicate,
    }


def _of_tombstone(removed: Tombstone) -> dict[str, object]:
    return {
        "project": removed.name.project,
        "kind": removed.name.kind,
        "generation": removed.name.generation,
        "reason": removed.reason,
        **({} if removed.detail is None else {"detail": removed.detail}),
        "barred": removed.barred,
        "size": removed.size,
        "decided_at": written(removed.decided_at),
        "gone_at": written(removed.gone_at),
    }


def _of_hold(word: HoldEvent) -> dict[str, object]:
    return {
        "project": word.name.project,
        "event": word.name.event,
        "state": word.state,
        "reason": word.reason,
        "at": written(word.at),
    }


class _Tombstone(Wire):
    project: str
    kind: str
    generation: int
    reason: str
    detail: str | None = None
    barred: bool
    size: int
    decided_at: str
    gone_at: str


class _Hold(Wire):
    project: str
    event: str
    state: str
    reason: str
    at: str


def read(payload: bytes) -> Decision:
    """Read a statement from the payload of a verified envelope.

    Raises:
        EvidenceError: the signer states no decision so.
    """
    try:
        stated = parsed(Statement, loads(payload, max_bytes=_MAX_BYTES), "an in-toto statement")
        decision, public_url = _decision(stated)
    except (InvalidInputError, LimitExceededError, ValueError) as error:
        raise EvidenceError("the statement is of no decision that is signed", reason=str(error)) from error
    if encode(statement(decision, public_url=public_url)) != payload:
        raise EvidenceError("the statement is not written as the signer writes it")
    return decision


def _decision(stated: Statement) -> tuple[Decision, str]:
    digest = Digest("sha256", stated.subject[0].digest.get("sha256", ""))
    if stated.predicate_type.endswith(TOMBSTONE):
        public_url = stated.predicate_type.removesuffix(TOMBSTONE)
        return _tombstone(digest, parsed(_Tombstone, stated.predicate or {}, "a tombstone")), public_url
    if stated.predicate_type.endswith(HOLD):
        public_url = stated.predicate_type.removesuffix(HOLD)
        return _hold(digest, parsed(_Hold, stated.predicate or {}, "a hold")), public_url
    raise InvalidInputError("neither a tombstone nor a hold", given=stated.predicate_type[:200])


def _tombstone(digest: Digest, said: _Tombstone) -> Tombstone:
    name = RemovalName(said.project, said.kind, digest, said.generation)
    moments = (_moment(said.decided_at), _moment(said.gone_at))
    return Tombstone(name, said.reason, said.detail, said.barred, said.size, *moments)


def _hold(digest: Digest, said: _Hold) -> HoldEvent:
    name = EventName(said.project, digest, said.event)
    return HoldEvent(name, said.state, said.reason, _moment(said.at))


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
