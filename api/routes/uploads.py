"""Resumable uploads: parts that arrive in any order, by us or straight at the object store."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Header, Query, Request, Response, status
from starlette.routing import Match
from starlette.types import Scope

from api.auth import PartsHere, SendingCaller
from api.content_digest import declared_digest
from api.strict_route import StrictRoute
from api.upload_answers import PartAnswer, UploadAnswer, UploadBody
from artifacts.errors import DigestMismatchError
from artifacts.limits import MAX_WAIT_SECONDS
from artifacts.queries.uploads import UploadRow, UploadState
from artifacts.uploads import Uploads

router = APIRouter(prefix="/v1/blobs/uploads", route_class=StrictRoute, tags=["blobs"])
# Answers hold URLs that are as good as the right to write a part.
_UNKEPT = "no-store"


def uploads_of(here: PartsHere) -> Uploads:
    """The uploads of this application."""
    return Uploads(here.database, here.store, here.clock)


UploadsHere = Annotated[Uploads, Depends(uploads_of)]


async def _found(upload_id: str, caller: SendingCaller, known: UploadsHere) -> UploadRow:
    return await known.find(caller.project, upload_id, sender=caller.sender if caller.step else None)


KnownUpload = Annotated[UploadRow, Depends(_found)]
"""The upload of the route, which is one of the caller's project; a step token knows only its own."""


class AnnouncingRoute(StrictRoute):
    """Takes `POST /v1/blobs/uploads?resumable=1`; without the query the body is the content."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only where an upload is announced."""
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return super().matches(scope) if asked.get("resumable") == ["1"] else (Match.NONE, {})


announcing_router = APIRouter(prefix="/v1/blobs", route_class=AnnouncingRoute, tags=["blobs"])


# Not in the OpenAPI document, which has one operation per path and method; docs/http.md has it.
@announcing_router.post(
    "/uploads",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    include_in_schema=False,
)
async def announce(
    body: UploadBody, caller: SendingCaller, here: PartsHere, known: UploadsHere, response: Response
) -> UploadAnswer:
    """Announce an upload in parts."""
    await here.quotas.admit(caller.project, body.to_digest(), body.size)
    response.headers["Cache-Control"] = _UNKEPT
    begun = await known.begin(caller.project, caller.sender, digest=body.to_digest(), size=body.size)
    here.quotas.settled(caller.project, body.to_digest())
    return UploadAnswer.of(begun)


Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)]


@router.get("/{upload_id}", response_model_exclude_none=True)
async def look(row: KnownUpload, known: UploadsHere, response: Response, wait: Wait = 0) -> UploadAnswer:
    """What has arrived, and where the next parts can be sent."""
    settled = await known.wait_settled(row, seconds=wait)
    response.headers["Cache-Control"] = _UNKEPT
    return UploadAnswer.of(await known.progress(settled.project, settled.id))


@router.put(
    "/{upload_id}/parts/{number}",
    status_code=status.HTTP_201_CREATED,
)
async def put_part(
    number: int,
    row: KnownUpload,
    known: UploadsHere,
    request: Request,
    content_digest: Annotated[str | None, Header()] = None,
) -> PartAnswer:
    """Store one part. It may be sent again; the first that arrived whole stays."""
    declared = declared_digest(content_digest)
    size = await known.put_part(row, number, request.stream(), declared=declared)
    return PartAnswer(number=number, size=size)


@router.post(
    "/{upload_id}/complete",
    response_model_exclude_none=True,
    responses={202: {"model": UploadAnswer}},
)
async def complete(row: KnownUpload, known: UploadsHere, response: Response, wait: Wait = 0) -> UploadAnswer:
    """Let the parts be joined and checked. 200 when they are stored, 202 while a worker reads them."""
    done = await known.wait_settled(await known.complete(row), seconds=wait)
    if done.state is UploadState.REFUSED:
        raise DigestMismatchError(
            done.reason or "the upload is refused",
            hint="begin a new upload; this one is refused for ever",
            declared=str(done.digest),
        )
    if done.state is not UploadState.PRESENT:
        response.status_code = status.HTTP_202_ACCEPTED
    return UploadAnswer.settled(done)
