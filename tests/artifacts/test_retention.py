"""Retention rules: what each lets go, and what no file may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import InvalidInputError
from artifacts.retention import Kept, Retention

HOUR, DAY = 3_600_000, 86_400_000
NOW = 1_000 * DAY
MIB = 1 << 20


def kept(**members: object) -> Kept:
    given: dict[str, object] = {"project": "default", "kind": "blob", "size": MIB, "came_at": NOW - 100 * DAY}
    return Kept(**{**given, **members})  # type: ignore[arg-type]  # as a test gives them


def goes(rules: str, one: Kept) -> int | None:
    """The number of the rule by which it goes."""
    rule = Retention.parse(rules).due(one, now=NOW)
    return None if rule is None else rule.number


@pytest.mark.parametrize(
    ("rules", "members", "number"),
    [
        ("", {}, None),
        ('older_than = "90d"', {}, 1),
        ('older_than = "100d"', {}, 1),
        ('older_than = "101d"', {}, None),
        ('older_than = "14w"', {}, 1),
        ('older_than = "2401h"', {}, None),
        ('older_than = "90d"', {"named_at": NOW, "used_at": NOW}, 1),
        ('unused_for = "90d"', {}, 1),
        ('unused_for = "90d"', {"named_at": NOW - 89 * DAY}, None),
        ('unused_for = "90d"', {"used_at": NOW - 89 * DAY}, None),
        ('unused_for = "30d"', {"used_at": NOW - 30 * DAY, "named_at": NOW - 31 * DAY}, 1),
        ('older_than = "90d"\nunused_for = "30d"', {"used_at": NOW - DAY}, None),
        ('older_than = "90d"\nunused_for = "30d"', {"used_at": NOW - 31 * DAY}, 1),
        ("over_budget = true", {"came_at": NOW}, 1),
        ('over_budget = true\nolder_than = "1d"', {"came_at": NOW - HOUR}, None),
        ('project = "default"\nolder_than = "1d"', {}, 1),
        ('project = "other"\nolder_than = "1d"', {}, None),
        ('kind = "tree"\nolder_than = "1d"', {}, None),
        ('kind = "tree"\nolder_than = "1d"', {"kind": "tree"}, 1),
        ('larger_than = 1048576\nolder_than = "1d"', {}, None),
        ('larger_than = 1048575\nolder_than = "1d"', {}, 1),
        ('larger_than = "1MiB"\nolder_than = "1d"', {"size": MIB + 1}, 1),
        ('larger_than = "1 GiB"\nolder_than = "1d"', {"size": 1 << 30}, None),
        ('name = "nightly/*"\nolder_than = "1d"', {}, None),
        ('name = "nightly/*"\nolder_than = "1d"', {"names": ("a", "nightly/x/y.whl")}, 1),
        ('name = "Nightly/*"\nolder_than = "1d"', {"names": ("nightly/x",)}, None),
        ('keep = true\n[[rule]]\nolder_than = "1d"', {}, None),
        ('name = "a"\nkeep = true\n[[rule]]\nolder_than = "1d"', {"names": ("a",)}, None),
        ('name = "a"\nkeep = true\n[[rule]]\nolder_than = "1d"', {"names": ("b",)}, 2),
        ('older_than = "200d"\n[[rule]]\nolder_than = "1d"', {}, None),
    ],
)
def test_the_first_rule_that_matches_decides(
    rules: str, members: dict[str, object], number: int | None
) -> None:
    assert goes(f"[[rule]]\n{rules}" if rules else "", kept(**members)) == number


@pytest.mark.parametrize(
    "text",
    [
        "[[rule",
        'rules = "x"',
        '[[rule]]\nolder_then = "1d"',
        '[[rule]]\nolder_than = "1d"\nowner = "x"',
        "[[rule]]",
        '[[rule]]\nname = "x"',
        '[[rule]]\nkeep = true\nolder_than = "1d"',
        "[[rule]]\nkeep = false",
        "[[rule]]\nover_budget = false",
        "[[rule]]\nkeep = 1",
        '[[rule]]\nolder_than = "1y"',
        '[[rule]]\nolder_than = "0d"',
        "[[rule]]\nolder_than = 90",
        '[[rule]]\nunused_for = "-1d"',
        '[[rule]]\nkind = "pack"\nkeep = true',
        "[[rule]]\nlarger_than = -1\nkeep = true",
        "[[rule]]\nlarger_than = true\nkeep = true",
        '[[rule]]\nlarger_than = "1 MB"\nkeep = true',
        "[[rule]]\nname = 1\nkeep = true",
        '[[rule]]\nname = ""\nkeep = true',
        '[[rule]]\nproject = "Not A Name"\nkeep = true',
        '[rule]\nolder_than = "1d"',
        "rule = [1]",
        '[[budget]]\nproject = "default"',
        '[[budget]]\nproject = "default"\nbytes = 1\ndays = 1',
        '[[budget]]\nproject = "default"\nbytes = 1',
        '[[rule]]\nover_budget = true\n[[budget]]\nproject = "a"\nbytes = 1\n[[budget]]\nproject = "a"\nbytes = 2',
    ],
)
def test_a_file_that_is_half_understood_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Retention.parse(text)


def test_budgets_are_read_in_bytes_and_their_multiples() -> None:
    text = '[[rule]]\nover_budget = true\n[[budget]]\nproject = "a"\nbytes = "2 TiB"\n'
    read = Retention.parse(text + '[[budget]]\nproject = "b"\nbytes = 5\n')
    assert dict(read.budgets) == {"a": 2 << 40, "b": 5}


def test_which_projects_rules_concern() -> None:
    read = Retention.parse('[[rule]]\nproject = "a"\nolder_than = "1d"\n[[rule]]\nkeep = true\n')
    assert [read.concerns(project) for project in ("a", "b")] == [True, False]
    assert Retention.parse('[[rule]]\nolder_than = "1d"\n').concerns("b")
    assert not Retention().concerns("a")


MOMENTS = st.integers(0, NOW)
THINGS = st.builds(
    Kept,
    project=st.sampled_from(["default", "other"]),
    kind=st.sampled_from(["blob", "tree"]),
    size=st.integers(0, 1 << 40),
    came_at=MOMENTS,
    named_at=MOMENTS,
    used_at=MOMENTS,
    names=st.lists(st.sampled_from(["a", "nightly/a", "release/a"]), max_size=2).map(tuple),
)
MATCHERS = st.sampled_from(
    ["", 'project = "default"', 'kind = "tree"', "larger_than = 1000", 'name = "nightly/*"']
)
SPANS = st.integers(1, 900).map(lambda days: f'older_than = "{days}d"') | st.integers(1, 900).map(
    lambda days: f'unused_for = "{days}d"'
)
RULES = st.lists(st.tuples(MATCHERS, SPANS | st.just("keep = true")), max_size=4)


def written(rules: list[tuple[str, str]]) -> str:
    return "".join(f"[[rule]]\n{matcher}\n{action}\n" for matcher, action in rules)


@given(RULES, THINGS, st.integers(0, 100 * DAY))
def test_what_may_go_may_still_go_later(rules: list[tuple[str, str]], one: Kept, more: int) -> None:
    read = Retention.parse(written(rules))
    if read.due(one, now=NOW) is not None:
        assert read.due(one, now=NOW + more) == read.due(one, now=NOW)


@given(RULES, THINGS)
def test_a_keep_rule_in_front_keeps_everything_it_matches(rules: list[tuple[str, str]], one: Kept) -> None:
    assert goes("[[rule]]\nkeep = true\n" + written(rules), one) is None


@given(RULES, THINGS)
def test_rules_behind_one_that_matches_change_nothing(rules: list[tuple[str, str]], one: Kept) -> None:
    front = '[[rule]]\nolder_than = "10d"\n'
    assert goes(front + written(rules), one) == goes(front, one)


@given(RULES, THINGS)
def test_what_came_a_moment_ago_goes_by_no_rule(rules: list[tuple[str, str]], one: Kept) -> None:
    fresh = Kept(one.project, one.kind, one.size, NOW, one.named_at, one.used_at, one.names)
    assert goes(written(rules), fresh) is None
