"""Statements: strict where it matters, tolerant where the specification says so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance import samples
from tests.conformance.implementations import BOTH, Implementation

HEX = {"sha256": 64, "sha1": 40, "sha512": 128, "gitCommit": 40, "md5": 32}
RIGHT = {name: "a" * length for name, length in HEX.items()}
WRONG = {name: "b" * length for name, length in HEX.items()}


@pytest.mark.parametrize(
    ("claimed", "actual", "same"),
    [
        ({"sha256": RIGHT["sha256"]}, RIGHT, True),
        ({"sha256": RIGHT["sha256"], "future": "x"}, {"sha256": RIGHT["sha256"], "future": "y"}, True),
        ({"sha1": RIGHT["sha1"]}, RIGHT, False),
        ({"gitCommit": RIGHT["gitCommit"]}, RIGHT, False),
        ({"sha1": RIGHT["sha1"], "sha256": WRONG["sha256"]}, RIGHT, False),
        ({"sha1": WRONG["sha1"], "sha256": RIGHT["sha256"]}, RIGHT, False),
        ({"sha512": WRONG["sha512"], "sha256": RIGHT["sha256"]}, RIGHT, False),
        ({"future": "x"}, {"future": "x"}, False),
        ({}, {}, False),
    ],
)
def test_one_strong_match_and_no_mismatch(
    side: Implementation, claimed: dict[str, str], actual: dict[str, str], same: bool
) -> None:
    assert side.statement.digests_match(claimed, actual) is same
    assert side.statement.digests_match(actual, claimed) is same


@given(
    st.dictionaries(st.sampled_from(sorted(HEX)), st.sampled_from("ab")),
    st.dictionaries(st.sampled_from(sorted(HEX)), st.sampled_from("ab")),
)
def test_both_sides_match_alike(one: dict[str, str], other: dict[str, str]) -> None:
    assert len({side.statement.digests_match(one, other) for side in BOTH}) == 1


def _claim(**changes: object) -> bytes:
    return json.dumps(samples.statement(**changes)).encode()


GOOD = {"digest": {"sha256": "a" * 64}}


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        _claim(_type=None),
        _claim(_type=["https://in-toto.io/Statement/v1"]),
        _claim(subject=None),
        _claim(subject={}),
        _claim(subject=["x"]),
        _claim(subject=[{**GOOD, "name": 1}]),
        _claim(subject=[{**GOOD, "uri": []}]),
        _claim(subject=[{**GOOD, "annotations": "x"}]),
        _claim(subject=[{"digest": {}}]),
        _claim(subject=[{"digest": None}]),
        _claim(subject=[{"digest": []}]),
        _claim(subject=[{"digest": {"sha256": 1}}]),
        _claim(subject=[{"digest": {"sha256": "a" * 63 + "\n"}}]),
        _claim(subject=[{"digest": {"sha256": "\u0661" * 64}}]),
        _claim(subject=[{"digest": {"sha1": "abc"}}]),
        _claim(subject=[{"digest": {f"x{number}": "a" for number in range(33)}}]),
        _claim(subject=[GOOD, {"name": "x"}]),
        _claim(subject=[GOOD] * 1025),
        _claim(predicateType=""),
        _claim(predicateType=None),
        _claim(predicate=[]),
        _claim(predicate="x"),
        _claim()[:-1] + b',"predicateType":"https://evil.example/v1"}',
        b"\xef\xbb\xbf" + _claim(),
        _claim(predicate={"a": float("nan")}),
        _claim(predicate={"a": 2**60}),
    ],
)
def test_what_is_no_statement_is_refused(side: Implementation, raw: bytes) -> None:
    with pytest.raises(side.refused):
        side.statement.Statement.parse(raw)


def test_members_that_nobody_knows_are_ignored(side: Implementation) -> None:
    raw = _claim(subject=[{**GOOD, "extra": {"x": 1}}], extra=[1])
    statement = side.statement.Statement.parse(raw)
    assert statement.matching({"sha256": "a" * 64})
    assert not statement.matching({"sha256": "b" * 64})


def test_a_thousand_subjects_are_read(side: Implementation) -> None:
    raw = _claim(subject=[{"digest": {"sha256": f"{number:064x}"}} for number in range(1024)])
    assert len(side.statement.Statement.parse(raw).matching({"sha256": f"{1023:064x}"})) == 1


def test_a_missing_predicate_is_no_error(side: Implementation) -> None:
    assert not side.statement.Statement.parse(_claim(predicate={})).predicate
    assert not side.statement.Statement.parse(_claim(predicate=None)).predicate
