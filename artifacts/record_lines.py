"""Putting together the line of a record from what the index holds of a step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from artifacts.clock import from_milliseconds, to_milliseconds, written
from artifacts.queries.products import Consumed, Produced, Touched
from artifacts.queries.sealing import Line
from artifacts.queries.steps import StepRow
from artifacts.record_codec import encode
from artifacts.steps import Role
from artifacts.wire import FinishBody, merged_parameters

Members = dict[str, Any]  # Any: JSON


def line_of(row: StepRow, touched: Touched, body: FinishBody, *, via: str, at: datetime) -> Line:
    """Write the record of `row`, which `touched` what the index says, finished at `at` as `body` says.

    Raises:
        InvalidInputError: a parameter has two values.
        LimitExceededError: the record would be too long.
    """
    members = {
        "project": row.project,
        "run": row.run,
        "step": row.id,
        "name": row.name,
        "principal": row.principal,
        "via": via,
        "outcome": body.outcome.value,
        "began_at": written(from_milliseconds(row.began_at)),
        "finished_at": written(at),
        **_said(orjson.loads(row.begun), body),
        **_touched(touched.inputs, touched.outputs),
    }
    return Line(row.project, row.id, to_milliseconds(at), encode(members))


def _said(begun: Members, body: FinishBody) -> Members:
    kept = {name: begun[name] for name in ("command", "environment", "source") if begun.get(name)}
    parameters = merged_parameters(begun.get("parameters", {}), body.parameters)
    reported = {name: begun[name] for name in ("client", "ci") if begun.get(name)}
    reported |= body.model_dump(include={"began_at", "finished_at", "exit_status"}, exclude_none=True)
    return {
        "command": [],
        "environment": {},
        "parameters": parameters,
        "reported": reported,
        **kept,
    }


def _touched(consumed: list[Consumed], produced: list[Produced]) -> Members:
    return {
        "inputs": [orjson.loads(item.body) for item in consumed],
        "outputs": [_product(item) for item in produced if item.role == Role.OUTPUT],
        "byproducts": [_product(item) for item in produced if item.role == Role.BYPRODUCT],
    }


def _product(item: Produced) -> Members:
    members: Members = {**orjson.loads(item.body), "received": item.received}
    if item.size is not None:
        members["size"] = item.size
    return members
