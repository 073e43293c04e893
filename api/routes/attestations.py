"""Signed statements, exactly as signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.answers import AttestationsAnswer
from api.auth import PartsHere, ProjectCaller
from api.parts import Parts
from api.routes.artifacts import resolved
from api.routes.log import reader
from api.strict_route import StrictRoute
from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import CorruptedError, NotFoundError
from artifacts.limits import MAX_PAGE
from artifacts.queries import attestations
from provenance.bundle import Bundle
from provenance.log.entries import tlog_entry

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
async def fetch(
    digest: str,
    caller: ProjectCaller,
    here: PartsHere,
    with_: Annotated[Literal["log"] | None, Query(alias="with")] = None,
) -> Response:
    """The bundle whose bytes have this digest; `?with=log` adds its place in the log, so other bytes."""
    wanted = Digest.parse(digest)
    async with here.database.reading() as connection:
        row = await attestations.find(connection, caller.project, wanted)
    if row is None:
        raise NotFoundError("no such attestation is recorded here", digest=digest[:80])
    content = await here.store.read(layout.attestation(wanted))
    if Digest.of(content) != wanted:
        raise CorruptedError("the stored attestation is damaged", digest=str(wanted))
    if with_ == "log":
        return await _with_log(here, caller.project, wanted, content)
    headers = {"ETag": f'"{wanted}"', "Cache-Control": "private, immutable, max-age=31536000"}
    return Response(content, headers=headers, media_type=_BUNDLE)


async def _with_log(here: Parts, project: str, wanted: Digest, content: bytes) -> Response:
    log = reader(here)
    logged = await log.logged(project, wanted)
    entry = tlog_entry(logged.proof, logged.entry, logged.checkpoint, await log.key())
    bundle = replace(Bundle.parse(content), tlog_entries=(entry,))
    return Response(bundle.to_bytes(), headers={"Cache-Control": "no-cache"}, media_type=_BUNDLE)
