"""Reading every bundle: which records are stated by a key that counts.

A bundle counts if

1. its name is the digest of its bytes;
2. it is a bundle with one envelope of an in-toto statement, both written to the byte as the
   signer writes them: sorted members, none of them twice, no spaces;
3. a trusted key signed it, and nobody else's word is needed for anything that follows;
4. the statement is one of the two that the signer makes of a record, and says which;
5. the key speaks for the builder that the statement names.

What does not count may still say which record it is about: that record is held, not signed
again, because two statements of one step must never stand beside each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from artifacts import named_keys
from artifacts.digest import Digest
from artifacts.errors import CustodyError, EvidenceError
from artifacts.queries.reindexing import StatedBy
from artifacts.queries.unfiled import About
from artifacts.storage.protocol import Listed, ObjectStore
from artifacts.strict_json import JsonValue
from provenance import dsse, record_statement
from provenance.bundle import Bundle
from provenance.keys import PublicKey
from provenance.predicate import PROVENANCE_V1
from provenance.reindex.reading import Lying, abreast, chunked, lying
from provenance.reindex.report import Doubted, Report, Told
from provenance.reindex.trust import Trust
from provenance.statement import Statement, parsed
from provenance.writer import PAYLOAD_TYPE


@dataclass(frozen=True, slots=True)
class Seen:
    """A statement that counts, and the record it is about."""

    record: bytes
    step: str
    stated: StatedBy

    @property
    def about(self) -> About:
        """What it is about, however it is written."""
        return About(self.step, self.stated.builder_id, self.record)


@dataclass(slots=True)
class Evidence:
    """Everything that bundles say of records."""

    by_record: dict[bytes, list[Seen]] = field(default_factory=dict)
    claimed: set[bytes] = field(default_factory=set)
    """Records that bundles of unknown signers are about."""
    filed: set[bytes] = field(default_factory=set)
    """Records whose statements have found them."""
    elsewhere: list[Seen] = field(default_factory=list)
    """Statements that a trusted key made for a builder it does not speak for."""

    def add(self, seen: Seen) -> None:
        """Remember a statement that counts."""
        self.by_record.setdefault(seen.record, []).append(seen)

    def refuse(self, refused: _Refused) -> None:
        """Remember what a bundle that does not count is about."""
        if refused.record is not None:
            self.claimed.add(refused.record)
        if refused.seen is not None:
            self.elsewhere.append(refused.seen)

    def unfiled(self) -> Iterator[Seen]:
        """All that trusted keys stated and that found no record."""
        for record, seen in self.by_record.items():
            if record not in self.filed:
                yield from seen
        yield from self.elsewhere


@dataclass(frozen=True, slots=True)
class _Refused:
    """A bundle that does not count, and the record it is about, if that can be read."""

    doubted: Doubted
    record: bytes | None
    seen: Seen | None = None
    """What it states, where a trusted key signed it."""


async def read_statements(
    store: ObjectStore, trust: Trust, report: Report, told: Told, *, known: Collection[bytes] = ()
) -> Evidence:
    """Read every bundle but those whose digests are `known` already."""
    evidence = Evidence()
    bundles = _bundles(store, report, known)

    async def judged(chunk: Sequence[Listed]) -> list[Seen | _Refused]:
        read = await lying(store, chunk, report)
        return await asyncio.to_thread(lambda: [_judged(one, trust) for one in read])

    async for results in abreast(chunked(bundles, weigh=lambda listed: listed.size), judged):
        for one in results:
            if isinstance(one, Seen):
                evidence.add(one)
            else:
                report.doubt(one.doubted.key, one.doubted.reason)
                evidence.refuse(one)
        report.counts["statements"] += len(results)
        told("statements", report.counts["statements"])
    return evidence


async def _bundles(store: ObjectStore, report: Report, known: Collection[bytes]) -> AsyncIterator[Listed]:
    async for listed in store.list("attestations/"):
        digest = named_keys.bundle(listed.key)
        if digest is None:
            report.doubt(listed.key, "nothing of ours has such a name")
        elif digest.raw not in known:
            yield listed


def stated(one: Lying, keyids: Mapping[PublicKey, str]) -> Seen:
    """Steps 1 to 4: what a bundle states, if one of the keys of `keyids` signed it.

    Raises:
        CustodyError: it is no bundle of theirs, or not as it was written.
    """
    read = _envelope(one)
    return _seen(read, _statement(read.envelope), keyids)


def _judged(one: Lying, trust: Trust) -> Seen | _Refused:
    statement: Statement | None = None
    try:
        read = _envelope(one)
        statement = _statement(read.envelope)
        seen = _seen(read, statement, trust.keyids)
    except CustodyError as error:
        return _Refused(Doubted(str(one.key), error.message), _claimed(one.content, statement))
    if not trust.speaks_for(seen.stated.keyid, seen.stated.builder_id):  # 5
        reason = "the key does not speak for that builder"
        return _Refused(Doubted(str(one.key), reason), seen.record, seen)
    return seen


@dataclass(frozen=True, slots=True)
class _Read:
    """A bundle that is what its name says, and was signed by nobody yet."""

    digest: Digest
    envelope: dsse.Envelope
    changed_at: int


def _envelope(one: Lying) -> _Read:
    digest = Digest.of(one.content)
    if named_keys.bundle(one.key) != digest:  # 1
        raise EvidenceError("the bundle was changed: its name is not its digest")
    envelope = Bundle.from_dict(_as_written(one.content)).envelope  # 2
    if envelope.payload_type != PAYLOAD_TYPE:
        raise EvidenceError("the bundle holds no in-toto statement")
    return _Read(digest, envelope, one.changed_at)


def _statement(envelope: dsse.Envelope) -> Statement:
    return parsed(Statement, _as_written(envelope.payload), "an in-toto statement")  # 2


def _seen(one: _Read, statement: Statement, keyids: Mapping[PublicKey, str]) -> Seen:
    (key,) = dsse.verify(one.envelope, keyids)  # 3
    predicate_type, builder_id, record, step = _about(statement)  # 4
    subjects = tuple(
        bytes.fromhex(subject.digest["sha256"]) for subject in statement.subject if "sha256" in subject.digest
    )
    made = StatedBy(one.digest.raw, builder_id, predicate_type, keyids[key], subjects, one.changed_at)
    return Seen(record, step, made)


def _as_written(raw: bytes) -> JsonValue:
    """Parse what this service wrote; reading strictly what anybody wrote takes five times as long.

    Raises:
        EvidenceError: nobody here wrote it so.
    """
    try:
        value: JsonValue = orjson.loads(raw)
        written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError as error:
        raise EvidenceError("not JSON") from error
    except orjson.JSONEncodeError as error:  # it reads four times as deep as it writes
        raise EvidenceError("JSON that nests deeper than this service writes it") from error
    if written != raw:
        raise EvidenceError("not written as this service writes JSON")
    return value


def _about(statement: Statement) -> tuple[str, str, bytes, str]:
    """Step 4: predicate type, builder, record and step.

    Raises:
        EvidenceError: it is no statement that the signer makes of a record.
    """
    match statement.predicate_type, statement.predicate:
        case (
            str(kind),
            {
                "runDetails": {
                    "builder": {"id": str(builder_id)},
                    "metadata": {"custody_record": str(record), "invocationId": str(step)},
                }
            },
        ) if kind == PROVENANCE_V1:
            return kind, builder_id, Digest.parse(record).raw, step
        case (
            str(kind),
            {"builder": {"id": str(builder_id)}, "record": {"step": str(step)}},
        ) if kind.endswith(record_statement.PREDICATE) and "sha256" in statement.subject[0].digest:
            return kind, builder_id, bytes.fromhex(statement.subject[0].digest["sha256"]), step
    raise EvidenceError("the statement is not one that is made of a record")


def _claimed(content: bytes, statement: Statement | None) -> bytes | None:
    """The record that a bundle is about, whoever signed it and whatever was done to it since."""
    try:
        if statement is None:
            statement = Statement.parse(Bundle.parse(content).envelope.payload)
        return _about(statement)[2]
    except CustodyError:
        return None
