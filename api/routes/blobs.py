"""Bytes: which are missing, in, out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response, status
from fastapi.responses import RedirectResponse, StreamingResponse

from api import blob_sources
from api.answers import BlobAnswer, MissingAnswer
from api.auth import PartsHere, ProjectCaller, SendingCaller
from api.bodies import DigestsBody
from api.content_digest import declared_digest, repr_digest
from api.ranges import asked_range
from api.strict_route import StrictRoute
from artifacts.control import BLOB
from artifacts.digest import Digest

router = APIRouter(prefix="/v1/blobs", route_class=StrictRoute, tags=["blobs"])


@router.post("/missing")
async def missing(body: DigestsBody, caller: SendingCaller, here: PartsHere) -> MissingAnswer:
    """Those of the digests whose bytes this project has not proven; other projects do not count."""
    asked = [Digest.parse(text) for text in body.digests]
    known = await here.naming.present(caller.project, BLOB, asked)
    return MissingAnswer(missing=[str(digest) for digest in asked if digest not in known])


@router.post("/uploads", status_code=status.HTTP_201_CREATED, responses={200: {"model": BlobAnswer}})
async def upload(
    caller: SendingCaller,
    here: PartsHere,
    request: Request,
    response: Response,
    content_digest: Annotated[str | None, Header()] = None,
) -> BlobAnswer:
    """Store the body outside any step. 201 when new, 200 when it was stored before."""
    declared = declared_digest(content_digest)
    content = request.stream()
    taken, new = await here.recorder.receive_blob(
        caller.project, content, declared=declared, by_step=caller.step is not None
    )
    if not new:
        response.status_code = status.HTTP_200_OK
    return BlobAnswer(digest=str(taken.digest), size=taken.size)


@router.head("/{digest}", response_class=Response, operation_id="head_blob")
@router.get("/{digest}", response_class=Response)
async def fetch(
    digest: str,
    caller: ProjectCaller,
    here: PartsHere,
    request: Request,
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The bytes under a digest, or a range of them: of a blob, or of a file in a tree."""
    wanted = Digest.parse(digest)
    source = await blob_sources.found(here, caller.project, wanted)
    size = source.size
    if request.method == "GET" and isinstance(source, blob_sources.OwnBlob):
        here.naming.use(caller.project, wanted)
    if request.method == "GET" and request.query_params.get("redirect") == "1":
        url = source.url()
        if url is not None:
            # The URL is as good as the right to read, so nothing on the way may keep it.
            return RedirectResponse(url, headers={"Cache-Control": "no-store"})
    headers = {
        "ETag": f'"{wanted}"',
        "Cache-Control": "private, immutable, max-age=31536000",
        "Repr-Digest": repr_digest(wanted),
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
    }
    if if_none_match is not None and f'"{wanted}"' in if_none_match:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    asked = asked_range(range_, size)
    if asked.whole:
        code = status.HTTP_200_OK
    else:
        code = status.HTTP_206_PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {asked.start}-{asked.start + asked.length - 1}/{size}"
    headers["Content-Length"] = str(asked.length)
    if request.method == "HEAD":
        return Response(status_code=code, headers=headers, media_type="application/octet-stream")
    content = source.open(asked.start, asked.length)
    return StreamingResponse(content, code, headers, media_type="application/octet-stream")
