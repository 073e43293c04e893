"""Steps: begin, look, finish."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response, status

from api.answers import StepAnswer
from api.auth import PartsHere, ProjectCaller, StepTarget
from api.bodies import StepBody
from api.parts import Parts
from api.strict_route import StrictRoute
from artifacts.beginning import Beginning
from artifacts.limits import MAX_WAIT_SECONDS
from artifacts.sealing import Finish
from artifacts.steps import StepState
from artifacts.wire import FinishBody

router = APIRouter(prefix="/v1/steps", route_class=StrictRoute, tags=["steps"])


async def described(here: Parts, project: str, step_id: str) -> StepAnswer:
    """The step as answers show it."""
    page = await here.reads.step_page(project, step_id)
    return StepAnswer.of(page.row, page.signed, page.ledger)


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses={200: {"model": StepAnswer}},
)
async def begin(body: StepBody, caller: ProjectCaller, here: PartsHere, response: Response) -> StepAnswer:
    """Begin a step under an id and a token chosen by the caller. 201 when new, 200 for the same again."""
    body.check()
    beginning = Beginning(
        project=caller.project,
        principal=caller.principal,
        step=body.id,
        run=body.run,
        name=body.name,
        token_hash=bytes.fromhex(body.token_sha256),
        begun=body.plan().written(),
        source=body.source.to_ref() if body.source else None,
        seconds=body.expires_in,
    )
    if not await here.recorder.begin_step(beginning):
        response.status_code = status.HTTP_200_OK
    return await described(here, caller.project, body.id)


@router.get("/{step_id}", response_model_exclude_none=True)
async def look(to: StepTarget, here: PartsHere) -> StepAnswer:
    """The step and its ledger: how far its evidence has come, and why not further."""
    return await described(here, to.project, to.step)


@router.post("/{step_id}/finish", response_model_exclude_none=True, responses={202: {"model": StepAnswer}})
async def finish(
    body: FinishBody,
    to: StepTarget,
    here: PartsHere,
    response: Response,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0,
) -> StepAnswer:
    """Seal the step. 200 when it is signed (or refused) by then, 202 when that is still to come."""
    body.check()
    await here.sealer.seal(Finish(to.project, to.step, body, principal=to.principal))
    if wait:
        await here.recorder.wait_signed(to.project, to.step, seconds=wait)
    answer = await described(here, to.project, to.step)
    if answer.state not in {StepState.SIGNED, StepState.REFUSED}:
        response.status_code = status.HTTP_202_ACCEPTED
    return answer
