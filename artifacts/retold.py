"""Requests that come again after the index was lost, recognised by the records they became.

An index that was filled from the bucket does not know what a request said word for word. It has
the digest of the record, and the record's times. So a request that is repeated is put into a
record once more, as it was then: the same digest, the same request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from artifacts.clock import from_milliseconds
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.queries.products import Touched
from artifacts.queries.steps import StepRow
from artifacts.queries.whole import Taken
from artifacts.record_lines import line_of
from artifacts.steps import StepState
from artifacts.whole import WholeStep
from artifacts.wire import FinishBody

if TYPE_CHECKING:
    from artifacts.sealing import Finish


def whole(request: WholeStep, row: StepRow) -> bool:
    """Whether `request` tells of the step that became the record of `row`, however it says that it finished.

    Who asks and how it finished are looked at by themselves: each has an answer of its own.
    """
    if row.begun or row.finished is None:
        return False
    taken = Taken.of(replace(request, principal=row.principal), at=row.began_at)
    said = FinishBody.model_validate_json(row.finished)
    return _is_record(taken.row, taken.touched(), said, row, via=request.via)


def finish(request: Finish | WholeStep, row: StepRow, touched: Touched | None) -> bool:
    """Whether `request` finishes `row` as it was finished, parameters of its own included."""
    if touched is None or row.token_hash is not None or not row.begun:
        return False
    try:
        return _is_record(row, touched, request.body, row, via=request.via)
    except InvalidInputError:
        return False  # a parameter of its own contradicts the record


def _is_record(as_then: StepRow, touched: Touched, body: FinishBody, row: StepRow, *, via: str) -> bool:
    if row.finished_at is None:
        return False
    line = line_of(as_then, touched, body, via=via, at=from_milliseconds(row.finished_at))
    return Digest.of(line.line).raw == row.record_digest


def to_be_compared(row: StepRow, requests: Iterable[Finish | WholeStep]) -> bool:
    """Whether `finish` may have to be asked: the row has no token, and finishes otherwise than `requests`."""
    if row.state == StepState.OPEN or row.token_hash is not None or not row.begun:
        return False
    return any(
        not isinstance(request, WholeStep)
        and (request.project, request.step) == (row.project, row.id)
        and request.body.written() != row.finished
        for request in requests
    )
