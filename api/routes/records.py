"""Whole finished steps."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from api.answers import StepAnswer
from api.auth import Caller, PartsHere, ProjectCaller
from api.bodies import RecordBody
from api.hot_route import HotRoute
from api.routes.steps import described
from api.strict_route import reserved_id
from artifacts.aside import MANY, aside_if
from artifacts.errors import InvalidInputError
from artifacts.identifiers import checked_ulid, new_ulid
from artifacts.queries.products import ProductRow
from artifacts.refs import ArtifactRef, checked_output_name
from artifacts.steps import Role
from artifacts.whole import WholeStep
from artifacts.wire import FinishBody, ReferenceBody, canonical

router = APIRouter(prefix="/v1/records", route_class=HotRoute, tags=["steps"])

# The parameters of both are one set here, and belong to the plan.
_OF_THE_FINISH = frozenset(FinishBody.model_fields) - {"parameters"} | {"id"}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model=StepAnswer,
    responses={200: {"model": StepAnswer}},
)
async def record(body: RecordBody, caller: ProjectCaller, here: PartsHere, request: Request) -> Response:
    """Record a step that ran elsewhere, whole. 201 when new, 200 for the same again."""
    body.check()
    if body.run is not None:
        await here.recorder.check_run(caller.project, caller.principal, checked_ulid(body.run))
    id_ = checked_ulid(body.id or reserved_id(request) or new_ulid(here.clock.now()))
    many = len(body.inputs) + len(body.outputs) + len(body.byproducts) > MANY
    whole = await aside_if(many, _whole, body, caller, id_, said=await request.json())
    sealed = await here.sealer.seal(whole)
    if sealed.page is None:
        answer, code = await described(here, caller.project, id_), status.HTTP_200_OK
    else:
        page = sealed.page
        answer, code = StepAnswer.of(page.row, page.signed, page.ledger), status.HTTP_201_CREATED
    return Response(answer.model_dump_json(exclude_none=True), code, media_type="application/json")


def _whole(body: RecordBody, caller: Caller, id_: str, *, said: dict[str, object]) -> WholeStep:
    """`said` is the request word for word: a repeated one is compared with it."""
    begun = {name: value for name, value in said.items() if name not in _OF_THE_FINISH}
    return WholeStep(
        project=caller.project,
        run=body.run,
        step=id_,
        name=body.name,
        principal=caller.principal,
        begun=canonical(begun),
        source=body.source.to_ref() if body.source else None,
        inputs=tuple(_distinct(body.inputs)),
        products=(*_products(body.outputs, Role.OUTPUT), *_products(body.byproducts, Role.BYPRODUCT)),
        body=FinishBody(
            outcome=body.outcome,
            exit_status=body.exit_status,
            began_at=body.began_at,
            finished_at=body.finished_at,
        ),
    )


def _distinct(inputs: list[ReferenceBody]) -> list[ArtifactRef]:
    refs = [item.to_ref() for item in inputs]
    return list({(ref.digest, ref.uri, ref.name): ref for ref in refs}.values())


def _products(bodies: list[ReferenceBody], role: Role) -> list[ProductRow]:
    rows = []
    for body in bodies:
        if body.name is None:
            raise InvalidInputError("an output needs a name")
        checked_output_name(body.name)
        rows.append(ProductRow(body.to_ref(), role))
    if len({row.ref.name for row in rows}) != len(rows):
        raise InvalidInputError(f"two {role}s have one name")
    return rows
