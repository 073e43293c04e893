"""What a step consumed and produced."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status

from api.answers import CountedAnswer, OutputAnswer
from api.auth import PartsHere, StepSender, StepTarget
from api.bodies import InputsBody, OutputsBody
from api.content_digest import declared_digest
from api.strict_route import StrictRoute
from artifacts.recording import Arriving
from artifacts.refs import checked_media_type, checked_output_name, checked_uri
from artifacts.steps import Role

router = APIRouter(prefix="/v1/steps/{step_id}", route_class=StrictRoute, tags=["steps"])
# What curl sends with --data-binary and -T says nothing of the content.
_SAYS_NOTHING = {"application/x-www-form-urlencoded", "application/octet-stream"}


@router.post("/inputs")
async def add_inputs(body: InputsBody, to: StepTarget, here: PartsHere) -> CountedAnswer:
    """Record references the step consumed."""
    counted = await here.recorder.add_inputs(to, [item.to_ref() for item in body.inputs])
    return CountedAnswer(recorded=counted.recorded, known=counted.known)


@router.post("/outputs")
async def add_outputs(body: OutputsBody, to: StepTarget, own: StepSender, here: PartsHere) -> CountedAnswer:
    """Record references the step produced, whose bytes are stored already or live elsewhere."""
    rows = [item.to_row() for item in body.outputs]
    counted = await here.recorder.add_outputs(to, rows, sender=own)
    return CountedAnswer(recorded=counted.recorded, known=counted.known)


def _arriving(
    name: str,
    own: StepSender,
    request: Request,
    role: Annotated[Literal["output", "byproduct"], Query()] = "output",
    uri: Annotated[str | None, Query()] = None,
    content_digest: Annotated[str | None, Header()] = None,
) -> Arriving:
    media_type = request.headers.get("content-type")
    return Arriving(
        name=checked_output_name(name),
        role=Role(role),
        uri=None if uri is None else checked_uri(uri),
        media_type=None if media_type in _SAYS_NOTHING else checked_media_type(media_type),
        declared=declared_digest(content_digest),
        by_step=own is not None,
    )


@router.put(
    "/outputs/{name:path}", status_code=status.HTTP_201_CREATED, responses={200: {"model": OutputAnswer}}
)
async def upload_output(
    arriving: Annotated[Arriving, Depends(_arriving)],
    to: StepTarget,
    here: PartsHere,
    request: Request,
    response: Response,
) -> OutputAnswer:
    """Store the body and record it as an output. 201 when new, 200 for the same again."""
    stored, new = await here.recorder.receive_output(to, arriving, request.stream())
    if not new:
        response.status_code = status.HTTP_200_OK
    response.headers["ETag"] = f'"{stored.ref.digest}"'
    return OutputAnswer(name=arriving.name, digest=stored.ref.digests.to_wire(), size=stored.size or 0)
