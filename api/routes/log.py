"""The log of everything that was signed: checkpoint, tiles, proofs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.auth import PartsHere, ProjectCaller
from api.log_answers import ProofAnswer
from api.parts import Parts
from api.strict_route import StrictRoute
from artifacts.digest import Digest
from provenance.log.objects import LogObjects
from provenance.log.reading import LogReader
from provenance.log.tiles import Tile

router = APIRouter(prefix="/v1/log", route_class=StrictRoute, tags=["log"])
_TEXT = "text/plain; charset=utf-8"
_FIXED = {"Cache-Control": "private, immutable, max-age=31536000"}
_CHANGING = {"Cache-Control": "no-cache"}


def reader(here: Parts) -> LogReader:
    """Who answers questions about the log."""
    return LogReader(here.database, here.store)


@router.get("/checkpoint", response_class=Response)
async def checkpoint(_caller: ProjectCaller, here: PartsHere) -> Response:
    """The newest checkpoint, a signed note."""
    return Response(await reader(here).note(), headers=_CHANGING, media_type=_TEXT)


@router.get("/key", response_class=Response)
async def key(_caller: ProjectCaller, here: PartsHere) -> Response:
    """The public key of the log. A convenience, not trust: compare it with one you pinned."""
    found = await reader(here).key()
    return Response(f"{found.text}\n", headers=_CHANGING, media_type=_TEXT)


@router.get("/tile/{path:path}", response_class=Response)
async def tile(path: str, _caller: ProjectCaller, here: PartsHere) -> Response:
    """A tile of hashes or of entries, as C2SP tlog-tiles names it."""
    content = await LogObjects(here.store).tile(Tile.parse(path))
    return Response(content, headers=_FIXED, media_type="application/octet-stream")


@router.get(
    "/proof/{digest}",
    response_model=ProofAnswer,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def proof(
    digest: str,
    caller: ProjectCaller,
    here: PartsHere,
    format_: Annotated[Literal["json", "text"], Query(alias="format")] = "json",
) -> ProofAnswer | Response:
    """That a signed statement, removal or hold is in the log: by the digest of its bundle."""
    logged = await reader(here).logged(caller.project, Digest.parse(digest))
    if format_ == "text":
        return Response(logged.proof.to_bytes(), headers=_CHANGING, media_type=_TEXT)
    return ProofAnswer.of(logged)
