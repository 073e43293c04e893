"""Runs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, status

from api.answers import RunAnswer
from api.auth import PartsHere, ProjectCaller
from api.bodies import RunBody
from api.strict_route import StrictRoute, reserved_id

router = APIRouter(prefix="/v1/runs", route_class=StrictRoute, tags=["runs"])


@router.post("", status_code=status.HTTP_201_CREATED, responses={200: {"model": RunAnswer}})
async def begin(
    body: RunBody, caller: ProjectCaller, here: PartsHere, request: Request, response: Response
) -> RunAnswer:
    """Begin a run, or find it by id or name. 201 when new, 200 when found."""
    body.check()
    id_ = body.id or (None if body.name else reserved_id(request))
    run, new = await here.recorder.begin_run(caller.project, caller.principal, id_=id_, name=body.name)
    if not new:
        response.status_code = status.HTTP_200_OK
    return RunAnswer.of(run)
