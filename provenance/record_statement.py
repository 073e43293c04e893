"""The statement about a step that failed, is unknown or made nothing: that it happened.

Its subject is the record itself. Nothing in it says that anything was built, and
`verify.py` never takes it for provenance.
"""

from __future__ import annotations

from typing import Final, TypedDict

from artifacts.digest import Digest
from artifacts.errors import EvidenceError
from artifacts.limits import MAX_RECORD_BYTES
from artifacts.records import RECORD_V1
from artifacts.strict_json import JsonObject, loads
from provenance.slsa import Descriptor
from provenance.statement import STATEMENT_V1

PREDICATE: Final = "/predicates/record/v1"


class RecordPredicate(TypedDict):
    """The record word for word, and who states it."""

    record: JsonObject
    builder: dict[str, str]


class RecordStatement(TypedDict):
    """An in-toto statement about a record, as we write it."""

    _type: str
    subject: list[Descriptor]
    predicateType: str
    predicate: RecordPredicate


def statement(line: bytes, *, builder_id: str, public_url: str) -> RecordStatement:
    """State that the control plane sealed the record whose line, without newline, is `line`.

    Raises:
        LimitExceededError: `line` is too long.
        MalformedJsonError: `line` is not strict JSON.
        EvidenceError: `line` is not a record of version 1.
    """
    record = loads(line, max_bytes=MAX_RECORD_BYTES)
    if not isinstance(record, dict) or record.get("record") != RECORD_V1 or "step" not in record:
        raise EvidenceError("not a record")
    digest = Digest.of(line)
    return {
        "_type": STATEMENT_V1,
        "subject": [{"name": f"record/{record['step']}", "digest": {digest.algorithm: digest.hex}}],
        "predicateType": public_url + PREDICATE,
        "predicate": {"record": record, "builder": {"id": builder_id}},
    }
