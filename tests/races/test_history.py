"""The judge of the races: it must believe what can be, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.races import models
from tests.races.history import UNSURE, Event, Model, explained

WRITE_A, WRITE_B, READ = ("write", "a"), ("write", "b"), ("read",)
Line = tuple[tuple[Hashable, ...], Hashable, int, int]
"""What was asked and told, and the moments of both."""


def judged(lines: list[Line], model: Model = models.kept_once, start: Hashable = models.ABSENT) -> bool:
    return explained([Event(*line) for line in lines], model, start)


def test_requests_that_were_under_way_together_may_take_either_order() -> None:
    assert judged([(WRITE_A, 201, 0, 9), (READ, models.ABSENT, 1, 2), (READ, "a", 3, 4)])
    assert judged([(WRITE_A, 409, 0, 9), (WRITE_B, 201, 1, 8), (READ, "b", 10, 11)])


@pytest.mark.parametrize(
    "lines",
    [
        [(WRITE_A, 201, 0, 1), (WRITE_A, 201, 2, 3)],
        [(WRITE_A, 201, 0, 3), (WRITE_B, 201, 1, 2)],
        [(WRITE_A, 200, 0, 1)],
        [(WRITE_A, 201, 0, 1), (READ, models.ABSENT, 2, 3)],
        [(WRITE_A, 201, 0, 9), (READ, "a", 1, 2), (READ, models.ABSENT, 3, 4)],
        [(WRITE_A, 201, 0, 1), (WRITE_B, 409, 2, 3), (READ, "b", 4, 5)],
        [(WRITE_A, 503, 0, 1)],
    ],
)
def test_what_no_order_explains_is_noticed(lines: list[Line]) -> None:
    assert not judged(lines)


def test_a_step_that_lost_an_acknowledged_output_is_noticed() -> None:
    begun: list[Line] = [(("put", "x"), 201, 0, 1), (("finish", "failed"), "failed", 2, 3)]
    whole, empty = ("failed", frozenset({"x"})), ("failed", frozenset[str]())
    assert judged([*begun, (("stated",), whole, 4, 5)], models.finished_once, models.OPEN)
    assert not judged([*begun, (("stated",), empty, 4, 5)], models.finished_once, models.OPEN)
    late: Line = (("put", "y"), 201, 4, 5)
    assert not judged([*begun, late], models.finished_once, models.OPEN)
    other: Line = (("finish", "succeeded"), "succeeded", 4, 5)
    assert not judged([*begun, other], models.finished_once, models.OPEN)


def test_a_key_with_two_answers_is_noticed() -> None:
    first: Line = (("use", "x"), "run 1", 0, 1)
    assert judged(
        [first, (("use", "x"), "run 1", 2, 3), (("use", "y"), 422, 4, 5)], models.answered_once, None
    )
    assert not judged([first, (("use", "x"), "run 2", 2, 3)], models.answered_once, None)
    assert not judged([first, (("use", "y"), "run 1", 2, 3)], models.answered_once, None)


def test_a_second_statement_is_noticed() -> None:
    signed: Line = (("sign", "held"), None, 0, 5)
    late: Line = (("sign", "late"), None, 0, 1)
    assert judged([late, (READ, (), 2, 3)], models.stated_once, "unsigned")
    assert not judged([late, (READ, ("d",), 2, 3)], models.stated_once, "unsigned")
    assert judged([signed, (READ, (), 1, 2), (READ, ("d",), 6, 7)], models.stated_once, "unsigned")
    assert not judged([signed, (READ, (), 6, 7)], models.stated_once, "unsigned")
    assert not judged([signed, (READ, ("d", "e"), 6, 7)], models.stated_once, "unsigned")
    assert not judged([signed, (READ, ("d",), 1, 2), (READ, ("e",), 6, 7)], models.stated_once, "unsigned")


def test_what_was_told_to_nobody_may_have_been_done_or_not() -> None:
    assert judged([(WRITE_A, UNSURE, 0, 1), (WRITE_A, 200, 2, 3)])
    assert judged([(WRITE_A, UNSURE, 0, 1), (WRITE_B, 201, 2, 3), (READ, UNSURE, 4, 5), (READ, "b", 6, 7)])
    assert not judged([(WRITE_A, UNSURE, 0, 1), (WRITE_B, 409, 2, 3), (READ, "b", 4, 5)])
    assert not judged([(WRITE_A, UNSURE, 2, 3), (WRITE_A, 200, 0, 1)])


@given(st.lists(st.tuples(st.sampled_from([WRITE_A, WRITE_B, READ]), st.integers(0, 6)), max_size=9))
def test_every_history_of_one_caller_after_another_is_explained_however_it_is_stretched(
    asked: list[tuple[tuple[str, ...], int]],
) -> None:
    """Each request takes effect at moment 10 n; when it was called and answered lies around that."""
    kept, lines = models.ABSENT, list[Line]()
    for number, (request, stretch) in enumerate(asked):
        told: Hashable = kept
        if request != READ:
            told = 201 if kept == models.ABSENT else 200 if kept == request[1] else 409
            kept = request[1] if kept == models.ABSENT else kept
        lines.append((request, told, 10 * number - 7 * stretch, 10 * number + 7 * stretch + 1))
    assert judged(lines)
