"""Removals and holds become signed objects, and are read back as exactly what was decided."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts import layout
from artifacts.control import (
    LIFTED,
    PLACED,
    Decision,
    EventName,
    HoldEvent,
    RemovalName,
    Tombstone,
    named_by,
)
from artifacts.digest import Digest
from artifacts.errors import EvidenceError, InvalidInputError, LimitExceededError
from artifacts.named_keys import decision
from provenance.attest_control import key_of
from provenance.control import read, statement
from provenance.writer import encode
from tests.control import DEFAULT, a_tombstone
from tests.service import PUBLIC_URL

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
EVENT = "01K5AAAAAAAAAAAAAAAAAAAAAA"
A_HOLD = HoldEvent(EventName(DEFAULT, Digest.of(b"x"), EVENT), PLACED, "an audit", AT)

_moments = st.integers(0, 4_000_000_000_000).map(lambda at: datetime.fromtimestamp(at // 1000, UTC))
_digests = st.binary(min_size=32, max_size=32).map(Digest.sha256)
_words = st.from_regex(r"[a-z]{1,8}(-[a-z]{1,8})?", fullmatch=True)
_texts = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=40)
_projects = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)


@st.composite
def _tombstones(draw: st.DrawFn) -> Tombstone:
    kind = draw(st.sampled_from(["blob", "tree"]))
    name = RemovalName(draw(_projects), kind, draw(_digests), draw(st.integers(1, 99_999_999)))
    decided_at = draw(_moments)
    gone_at = decided_at + timedelta(milliseconds=draw(st.integers(0, 10_000_000)))
    detail = draw(st.none() | _texts)
    size = draw(st.integers(0, 2**53))
    return Tombstone(name, draw(_words), detail, draw(st.booleans()), size, decided_at, gone_at)


@st.composite
def _holds(draw: st.DrawFn) -> HoldEvent:
    name = EventName(draw(_projects), draw(_digests), EVENT)
    return HoldEvent(name, draw(st.sampled_from([PLACED, LIFTED])), draw(_texts), draw(_moments))


@given(_tombstones() | _holds(), st.sampled_from(["http://custody.test", "https://host/below/a/path"]))
def test_what_is_stated_reads_back_and_has_one_topic_and_one_key(made: Decision, public_url: str) -> None:
    assert read(encode(statement(made, public_url=public_url))) == made
    assert named_by(made.name.project, made.name.topic) == made.name
    assert decision(key_of(made.name)) == made.name


def _changed(made: Decision, **changes: object) -> bytes:
    stated = json.loads(encode(statement(made, public_url=PUBLIC_URL)))
    for name, value in changes.items():
        holder = stated if name in stated else stated["predicate"]
        if value is None:
            holder.pop(name)
        else:
            holder[name] = value
    return encode(stated)


TWO = [{"name": "x", "digest": {"sha256": "a" * 64}}, {"name": "y", "digest": {"sha256": "b" * 64}}]


@pytest.mark.parametrize(
    "changes",
    [
        {"predicateType": f"{PUBLIC_URL}/predicates/record/v1"},
        {"predicateType": f"{PUBLIC_URL}/predicates/hold/v1"},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": [{"name": "x", "digest": {"sha1": "a" * 40}}]},
        {"subject": [{"name": "x", "digest": {"sha256": "a" * 64}}]},
        {"subject": TWO},
        {"project": "../other"},
        {"kind": "pack"},
        {"generation": 0},
        {"generation": 100_000_000},
        {"generation": "1"},
        {"generation": None},
        {"reason": "Because it is so"},
        {"reason": "x" * 41},
        {"detail": "a\nb"},
        {"detail": "x" * 2000},
        {"barred": 1},
        {"size": -1},
        {"decided_at": "yesterday"},
        {"decided_at": "2026-11-22T10:00:00Z"},
        {"gone_at": "2026-11-22T09:00:00.000Z"},
        {"predicate": {}},
        {"predicate": None},
        {"more": "x"},
    ],
)
def test_a_tombstone_that_says_anything_else_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(EvidenceError):
        read(_changed(a_tombstone(b"x"), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"predicateType": f"{PUBLIC_URL}/predicates/tombstone/v1"},
        {"event": "1"},
        {"state": "kept"},
        {"reason": ""},
        {"at": "2026-11-22T10:00:00.0Z"},
        {"predicate": None},
    ],
)
def test_a_hold_that_says_anything_else_is_none(changes: dict[str, object]) -> None:
    with pytest.raises(EvidenceError):
        read(_changed(A_HOLD, **changes))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"[" * 100, b" " * 70_000])
def test_what_is_no_statement_is_no_decision(payload: bytes) -> None:
    with pytest.raises(EvidenceError):
        read(payload)


def test_another_spelling_of_a_statement_is_none() -> None:
    stated = statement(A_HOLD, public_url=PUBLIC_URL)
    with pytest.raises(EvidenceError):
        read(json.dumps(stated).encode())


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "tombstone",
        f"tombstone/blob/{'a' * 64}",
        f"tombstone/blob/{'a' * 64}/0",
        f"tombstone/blob/{'a' * 64}/01",
        f"tombstone/blob/{'a' * 64}/100000000",
        f"tombstone/pack/{'a' * 64}/1",
        f"tombstone/blob/{'A' * 64}/1",
        f"hold/{'a' * 64}",
        f"hold/{'a' * 64}/{EVENT.lower()}",
        f"hold/{'a' * 64}/{EVENT}\n",
    ],
)
def test_no_other_topic_names_a_decision(topic: str) -> None:
    with pytest.raises(InvalidInputError):
        named_by(DEFAULT, topic)


@pytest.mark.parametrize(
    "key",
    [
        f"control/tombstones/default/pack/{'a' * 64}/00000001.json",
        f"control/tombstones/default/blob/{'a' * 64}/00000000.json",
        f"control/tombstones/default/blob/{'a' * 64}/1.json",
        f"control/tombstones/Default/blob/{'a' * 64}/00000001.json",
        f"control/holds/default/{'a' * 64}/x.json",
        f"control/holds/default/{'a' * 64}/{EVENT}.json.json",
        "control/else",
    ],
)
def test_no_other_name_is_of_a_decision(key: str) -> None:
    assert decision(layout.Key(key)) is None


def test_only_sha256_is_removed_or_held() -> None:
    with pytest.raises(InvalidInputError):
        EventName(DEFAULT, Digest("gitCommit", "a" * 40), EVENT)


def test_a_limit_is_told_as_one() -> None:
    with pytest.raises(LimitExceededError):
        a_tombstone(b"x", detail="x" * 2000)
