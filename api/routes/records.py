"""Whole finished steps."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from api.answers import StepAnswer
from api.auth import Caller, PartsHere, ProjectCaller
from api.bodies import RecordBody
from api.routes.steps import described
from api.strict_route import StrictRoute, reserved_id
from artifacts.errors import InvalidInputError
from artifacts.identifiers import checked_ulid, new_ulid
from artifacts.queries.products import ProductRow
from artifacts.refs import ArtifactRef, checked_output_name
from artifacts.steps import Role
from artifacts.whole import WholeStep
from artifacts.wire import FinishBody, ReferenceBody, canonical

router = APIRouter(prefix="/v1/records", route_class=StrictRoute, tags=["steps"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses={200: {"model": StepAnswer}},
)
async def record(
    body: RecordBody, caller: ProjectCaller, here: PartsHere, request: Request, response: Response
) -> StepAnswer:
    """Record a step that ran elsewhere, whole. 201 when new, 200 for the same again."""
    body.check()
    if body.run is not None:
        await here.recorder.check_run(caller.project, caller.principal, checked_ulid(body.run))
    id_ = checked_ulid(body.id or reserved_id(request) or new_ulid(here.clock.now()))
    sealed = await here.sealer.seal(_whole(body, caller, id_))
    if not sealed.new:
        response.status_code = status.HTTP_200_OK
    return await described(here, caller.project, id_)


def _whole(body: RecordBody, caller: Caller, id_: str) -> WholeStep:
    finish = FinishBody.model_validate({name: getattr(body, name) for name in FinishBody.model_fields})
    said = body.model_dump(by_alias=True, exclude_defaults=True, exclude={*FinishBody.model_fields, "id"})
    if body.parameters:
        said["parameters"] = body.parameters
    return WholeStep(
        project=caller.project,
        run=body.run,
        step=id_,
        name=body.name,
        principal=caller.principal,
        begun=canonical(said),
        source=body.source.to_ref() if body.source else None,
        inputs=tuple(_distinct(body.inputs)),
        products=(*_products(body.outputs, Role.OUTPUT), *_products(body.byproducts, Role.BYPRODUCT)),
        body=finish.model_copy(update={"parameters": {}}),
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
