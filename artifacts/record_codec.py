"""Writing and reading the line of a sealed record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, ValidationError

from artifacts.errors import EvidenceError, InvalidInputError, LimitExceededError, MalformedJsonError
from artifacts.identifiers import checked_ulid
from artifacts.limits import MAX_INPUTS, MAX_OUTPUTS, MAX_RECORD_BYTES
from artifacts.records import RECORD_V1, Product, Record, Reported
from artifacts.refs import checked_output_name
from artifacts.steps import Outcome, checked_project
from artifacts.strict_json import loads
from artifacts.wire import CiBody, FinishBody, PlanBody, ReferenceBody, Wire, WireScalar


class _ProductBody(ReferenceBody):
    size: int | None = None
    received: bool = False

    def to_product(self) -> Product:
        if self.name is None:
            raise InvalidInputError("an output needs a name")
        checked_output_name(self.name)
        return Product(self.to_ref(), self.size, self.received)


class _ReportedBody(Wire):
    began_at: str | None = None
    finished_at: str | None = None
    exit_status: int | None = None
    client: str | None = None
    ci: CiBody | None = None


class _RecordBody(Wire):
    record: Literal["custody/v1"]
    project: str
    run: str
    step: str
    name: str
    principal: str
    via: Literal["step", "record"]
    outcome: Annotated[Outcome, Field(strict=False)]
    began_at: str
    finished_at: str
    command: list[str] = Field(default_factory=list)
    parameters: dict[str, WireScalar] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    source: ReferenceBody | None = None
    reported: _ReportedBody = _ReportedBody()
    inputs: list[ReferenceBody] = Field(default_factory=list, max_length=MAX_INPUTS)
    outputs: list[_ProductBody] = Field(default_factory=list, max_length=MAX_OUTPUTS)
    byproducts: list[_ProductBody] = Field(default_factory=list, max_length=MAX_OUTPUTS)


def encode(members: dict[str, Any]) -> bytes:  # Any: JSON
    """Write the line of a record, without its newline.

    Raises:
        LimitExceededError: it would be longer than `MAX_RECORD_BYTES`.
    """
    line = orjson.dumps({"record": RECORD_V1, **members}, option=orjson.OPT_SORT_KEYS)
    if len(line) > MAX_RECORD_BYTES:
        raise LimitExceededError(f"the record is longer than {MAX_RECORD_BYTES} bytes", length=len(line))
    return line


def decode(line: bytes) -> Record:
    """Read a line that somebody else may have written; every rule is checked again.

    Raises:
        EvidenceError: it is not a record that the control plane would have sealed.
    """
    try:
        body = _RecordBody.model_validate(loads(line, max_bytes=MAX_RECORD_BYTES))
        return _record(body)
    except (ValidationError, MalformedJsonError, InvalidInputError, LimitExceededError) as error:
        raise EvidenceError("the record does not follow its format", reason=str(error)[:500]) from error


def _record(body: _RecordBody) -> Record:
    _check(body)
    return Record(
        project=checked_project(body.project),
        run=checked_ulid(body.run),
        step=checked_ulid(body.step),
        name=body.name,
        principal=body.principal,
        via=body.via,
        outcome=body.outcome,
        began_at=_moment(body.began_at),
        finished_at=_moment(body.finished_at),
        command=tuple(body.command),
        parameters=body.parameters,
        environment=body.environment,
        source=body.source.to_ref() if body.source else None,
        reported=_reported(body.reported),
        inputs=tuple(reference.to_ref() for reference in body.inputs),
        outputs=tuple(product.to_product() for product in body.outputs),
        byproducts=tuple(product.to_product() for product in body.byproducts),
    )


def _check(body: _RecordBody) -> None:
    said = body.reported
    PlanBody(
        name=body.name,
        command=body.command,
        parameters=body.parameters,
        environment=body.environment,
        client=said.client,
        ci=said.ci,
    ).check()
    FinishBody(
        outcome=body.outcome,
        exit_status=said.exit_status,
        began_at=said.began_at,
        finished_at=said.finished_at,
    ).check()
    for products in (body.outputs, body.byproducts):
        names = [product.name for product in products]
        if len(set(names)) != len(names):
            raise InvalidInputError("two outputs of a step have one name")


def _reported(body: _ReportedBody) -> Reported:
    ci = body.ci.model_dump(exclude_none=True) if body.ci else {}
    return Reported(body.began_at, body.finished_at, body.exit_status, body.client, ci)


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise InvalidInputError("not a time as the control plane writes it", given=text[:60]) from error
