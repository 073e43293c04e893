"""Signed statements, exactly as signed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.answers import AttestationsAnswer
from api.auth import PartsHere, ProjectCaller
from api.routes.artifacts import resolved
from api.strict_route import StrictRoute
from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError
from artifacts.limits import MAX_PAGE
from artifacts.queries import attestations

router = APIRouter(prefix="/v1/attestations", route_class=StrictRoute, tags=["attestations"])
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@router.get("")
async def about(
    subject: Annotated[str, Query()], caller: ProjectCaller, here: PartsHere
) -> AttestationsAnswer:
    """The statements whose subject is an artifact, or a record."""
    try:
        known = await resolved(here, caller.project, subject)
    except NotFoundError:
        # Records are subjects too, and no artifacts.
        known = Digest.parse(subject)
    async with here.database.reading() as connection:
        rows = await attestations.about(connection, caller.project, known, limit=MAX_PAGE)
    return AttestationsAnswer.of(rows)


@router.get("/{digest}", response_class=Response)
async def fetch(digest: str, caller: ProjectCaller, here: PartsHere) -> Response:
    """The bundle whose bytes have this digest."""
    wanted = Digest.parse(digest)
    async with here.database.reading() as connection:
        row = await attestations.find(connection, caller.project, wanted)
    if row is None:
        raise NotFoundError("no such attestation is recorded here", digest=digest[:80])
    content = await here.store.read(layout.attestation(wanted))
    if Digest.of(content) != wanted:
        raise CorruptedError("the stored attestation is damaged", digest=str(wanted))
    headers = {"ETag": f'"{wanted}"', "Cache-Control": "private, immutable, max-age=31536000"}
    return Response(content, headers=headers, media_type=_BUNDLE)
