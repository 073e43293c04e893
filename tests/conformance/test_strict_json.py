"""What is accepted means the same to every parser; everything else is refused (threats S11)."""

from __future__ import annotations

import json
import math
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import LimitExceededError
from tests.conformance.implementations import BOTH, SERVICE, Implementation

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5)
)
REFUSED = {
    "nothing": b"",
    "NaN": b"[NaN]",
    "infinity": b'{"a":Infinity}',
    "minus infinity": b"-Infinity",
    "overflowing float": b"1e999",
    "2^53+1": b"9007199254740993",
    "-2^53-1": b"-9007199254740993",
    "a million digits": b"1" * 1_000_000,
    "lone high surrogate": b'"\\ud800"',
    "lone low surrogate as a name": b'{"\\uDC00":1}',
    "surrogates in the wrong order": b'["\\udc00\\ud800"]',
    "surrogate as bytes": b'"\xed\xa0\x80"',
    "overlong encoding": b'"\xc0\xaf"',
    "latin 1": b'"\xe9"',
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "control character": b'"\x01"',
    "trailing comma": b"[1,]",
    "two texts": b"{}{}",
    "comment": b"{}/**/",
    "leading zero": b"01",
    "single quotes": b"{'a':1}",
    "duplicate": b'{"a":1,"a":1}',
    "duplicate behind an escape": b'{"a":1,"\\u0061":2}',
    "duplicate deep down": b'[[{"x":{"a":1,"b":2,"a":3}}]]',
    "65 levels": b"[" * 65 + b"]" * 65,
    "65 mixed levels": b'{"a":[' * 33 + b"]}" * 33,
    "unclosed": b'{"a":',
    "unclosed string": b'"abc',
    "backslash at the end": b'"abc\\',
}


@given(VALUES, st.sampled_from(BOTH), st.booleans())
def test_what_is_accepted_is_what_other_parsers_read(
    value: object, side: Implementation, escape: bool
) -> None:
    raw = json.dumps(value, ensure_ascii=escape).encode()
    assert side.json.loads(raw) == json.loads(raw) == orjson.loads(raw) == value


@given(
    st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0dD8ac1eE+-. truefalsn', max_size=40).map(str.encode)
)
def test_arbitrary_text_is_read_alike_by_both_or_refused_by_both(raw: bytes) -> None:
    answers = []
    for side in BOTH:
        try:
            answers.append(repr(side.json.loads(raw)))
        except side.malformed:
            answers.append("refused")
    assert answers[0] == answers[1]
    if answers[0] != "refused":
        assert repr(json.loads(raw)) == answers[0]
        assert orjson.loads(raw) == json.loads(raw)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), st.data(), st.sampled_from(BOTH))
def test_a_duplicate_anywhere_is_refused(
    members: dict[str, object], data: st.DataObject, side: Implementation
) -> None:
    twice = data.draw(st.sampled_from(sorted(members)))
    pairs = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members.items()]
    pairs.insert(
        data.draw(st.integers(0, len(pairs))), f"{json.dumps(twice)}:{json.dumps(data.draw(SCALARS))}"
    )
    inner = "{" + ",".join(pairs) + "}"
    around = data.draw(st.sampled_from(["%s", "[%s]", '{"outer":%s}', '[{"a":[%s]}]']))
    with pytest.raises(side.malformed):
        side.json.loads((around % inner).encode() if around == "%s" else around.replace("%s", inner).encode())


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_or_malformed_text_is_refused(side: Implementation, name: str) -> None:
    with pytest.raises(side.malformed):
        side.json.loads(REFUSED[name])


def test_the_edges_are_inside(side: Implementation) -> None:
    assert side.json.loads(b"9007199254740992") == 2**53
    assert side.json.loads(b"[" * 64 + b"]" * 64)
    assert side.json.loads(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    assert side.json.loads(b'"' + b"[" * 100 + b'"') == "[" * 100
    assert side.json.loads(b'["' + b'\\"[' * 100 + b'"]') == ['"[' * 100]
    assert math.copysign(1, side.json.loads(b"-0.0")) == -1
    assert side.json.loads(b"[" + b"[]," * 99 + b"[]]") == [[]] * 100


def test_floats_can_be_refused(side: Implementation) -> None:
    assert side.json.loads(b"[1.5]") == [1.5]
    for raw in (b"[1.5]", b"1e2", b"-0.0"):
        with pytest.raises(side.malformed):
            side.json.loads(raw, floats=False)
    assert side.json.loads(b"[15]", floats=False) == [15]


def test_too_long_a_text_is_not_looked_at(side: Implementation) -> None:
    with pytest.raises(LimitExceededError if side is SERVICE else side.malformed):
        side.json.loads(b"[1]", max_bytes=2)
    with pytest.raises(side.malformed):
        side.json.loads(b"[[1]]", max_depth=1)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'"\\"', b'["'])
def test_hostile_text_is_refused_quickly(side: Implementation, opening: bytes) -> None:
    raw = opening * 100_000
    begun = time.process_time()
    with pytest.raises(side.malformed):
        side.json.loads(raw)
    # Linear: 0.04 s where this was written. Quadratic would be minutes.
    assert time.process_time() - begun < 2


def test_many_members_with_one_duplicate_are_refused_quickly(side: Implementation) -> None:
    raw = b"{" + b",".join(b'"%d":1' % number for number in range(200_000)) + b',"199999":2}'
    begun = time.process_time()
    with pytest.raises(side.malformed):
        side.json.loads(raw)
    assert time.process_time() - begun < 5
