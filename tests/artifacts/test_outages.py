"""What errors of a database mean, and when work is run again."""

from __future__ import annotations

import sqlite3

import pytest

from artifacts.errors import GaveWayError, UnavailableError
from artifacts.outages import TRIALS, outage, repeated, unreachable


class DriverError(Exception):
    """An error with a code, as drivers raise them."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.sqlstate = state


@pytest.mark.parametrize(
    "state", ["08006", "53100", "53300", "57014", "57P01", "57P03", "58030", "25006", "25P03", "55P03"]
)
def test_an_outage_is_told_as_one(state: str) -> None:
    told = outage(DriverError(state))
    assert type(told) is UnavailableError
    assert told.facts == {"reason": state}


@pytest.mark.parametrize("state", ["40001", "40P01", "23505"])
def test_a_transaction_that_gave_way_may_be_repeated(state: str) -> None:
    assert type(outage(DriverError(state))) is GaveWayError


@pytest.mark.parametrize("state", ["42601", "42P01", "23503", "42501", "XX000"])
def test_a_mistake_in_a_statement_is_no_outage(state: str) -> None:
    assert outage(DriverError(state)) is None


def test_a_connection_that_is_gone_is_an_outage_whatever_was_said() -> None:
    assert isinstance(outage(Exception("closed"), gone=True), UnavailableError)


@pytest.mark.parametrize(("code", "passing"), [("SQLITE_BUSY", True), ("SQLITE_ERROR", False)])
def test_sqlite_tells_by_its_code(code: str, passing: bool) -> None:
    error = sqlite3.OperationalError(code)
    error.sqlite_errorcode = getattr(sqlite3, code)
    error.sqlite_errorname = code
    assert (outage(error) is not None) is passing


def test_a_server_that_refuses_is_told_by_its_code_or_the_kind_of_error() -> None:
    assert unreachable(DriverError("28P01")).facts == {"reason": "28P01"}
    assert unreachable(ConnectionRefusedError()).facts == {"reason": "ConnectionRefusedError"}


async def test_work_that_gives_way_is_run_again_until_it_stands() -> None:
    trials: list[int] = []

    @repeated
    async def work(number: int) -> int:
        trials.append(number)
        if len(trials) < 3:
            raise GaveWayError("others were faster")
        return number

    assert await work(7) == 7
    assert trials == [7, 7, 7]


async def test_work_that_gives_way_for_ever_is_given_up() -> None:
    trials: list[None] = []

    @repeated
    async def work() -> None:
        trials.append(None)
        raise GaveWayError("others were faster")

    with pytest.raises(GaveWayError):
        await work()
    assert len(trials) == TRIALS


async def test_work_that_fails_otherwise_is_not_run_again() -> None:
    trials: list[None] = []

    @repeated
    async def work() -> None:
        trials.append(None)
        raise UnavailableError("away")

    with pytest.raises(UnavailableError):
        await work()
    assert len(trials) == 1
