"""Artifacts: record a reference, look up, trace."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response, status

from api.answers import (
    ArtifactAnswer,
    ArtifactsAnswer,
    AttestationsAnswer,
    LineageAnswer,
    NamedAnswer,
    ReferenceAnswer,
    TracedStepAnswer,
)
from api.auth import PartsHere, ProjectCaller
from api.cursors import FindQuery, next_link, parse_cursor
from api.hot_route import HotRoute
from api.parts import Parts
from api.strict_route import StrictRoute
from artifacts.control import BLOB, TREE
from artifacts.digest import Digest, DigestSet
from artifacts.errors import ConflictError, InvalidInputError, NotFoundError
from artifacts.limits import MAX_LINEAGE_DEPTH, MAX_PAGE
from artifacts.queries import attestations, lookups, removals, trees
from artifacts.queries.artifact_pages import ArtifactPage
from artifacts.queries.lookups import NameQuery
from artifacts.queries.removals import Removed
from artifacts.trees import members
from artifacts.trees.members import Candidates
from artifacts.wire import ReferenceBody
from provenance import lineage

router = APIRouter(prefix="/v1/artifacts", route_class=StrictRoute, tags=["artifacts"])
hot_router = APIRouter(prefix="/v1/artifacts", route_class=HotRoute, tags=["artifacts"])
_MOST = 100


async def resolved(here: Parts, project: str, text: str) -> Digest:
    """The one artifact that `text` addresses, directly or as an alias."""
    digest = Digest.parse(text)
    async with here.database.reading() as connection:
        found = await lookups.resolve(connection, project, digest)
    if digest in found:
        return digest
    if not found:
        raise NotFoundError("nothing is recorded under that digest", digest=str(digest))
    if len(found) > 1:
        raise ConflictError(
            "several artifacts have that digest", candidates=[str(one) for one in found[:_MOST]]
        )
    return found[0]


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses={200: {"model": ReferenceAnswer}},
)
async def record(
    body: ReferenceBody, caller: ProjectCaller, here: PartsHere, response: Response
) -> ReferenceAnswer:
    """Record a reference outside any step. 201 when new, 200 when it stood already."""
    ref = body.to_ref()
    if ref.uri is None:
        raise InvalidInputError("a reference outside a step needs a uri")
    if not await here.recorder.record_reference(caller.project, caller.principal, ref):
        response.status_code = status.HTTP_200_OK
    return ReferenceAnswer(digest=str(ref.digest), uri=ref.uri, name=ref.name)


@router.get("", response_model_exclude_none=True)
async def find(
    caller: ProjectCaller,
    here: PartsHere,
    request: Request,
    response: Response,
    query: Annotated[FindQuery, Query()],
) -> ArtifactsAnswer:
    """The artifacts recorded under a URI or name, exactly as written."""
    if query.uri is None and query.name is None:
        raise InvalidInputError("say which", hint="?uri= or ?name=")
    asked = NameQuery(query.uri, query.name, parse_cursor(query.cursor), query.limit)
    async with here.database.reading() as connection:
        found = await lookups.find_named(connection, caller.project, asked)
    if len(found) == query.limit:
        response.headers["Link"] = next_link(request.url, found[-1])
    return ArtifactsAnswer(artifacts=[NamedAnswer.of(one) for one in found])


@hot_router.get("/{digest}", response_model=ArtifactAnswer)
async def look(digest: str, caller: ProjectCaller, here: PartsHere) -> Response:
    """Everything recorded of one artifact."""
    page = await _page(here, caller.project, digest)
    within = Candidates(page.digest, None, ())
    if page.in_trees:
        async with here.database.reading() as connection:
            within = await members.candidates(connection, caller.project, page.digest)
    found = await members.members(here.store, caller.project, within) if within.trees else []
    removed = await _removed(here, caller.project, page) if page.was_removed else []
    size = within.size if page.size is None else page.size
    answer = ArtifactAnswer.of(page, size=size, members=found, removed=removed)
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")


async def _removed(here: Parts, project: str, page: ArtifactPage) -> list[Removed]:
    """The removals of what is not here any more; of what came again nothing is said."""
    async with here.database.reading() as connection:
        found = await removals.of(connection, project, page.digest)
        tree = await trees.find_tree(connection, project, page.digest)
    gone = {BLOB: page.size is None, TREE: tree is None}
    return [one for one in found if gone[one.kind]]


async def _page(here: Parts, project: str, text: str) -> ArtifactPage:
    """What is recorded under `text`: usually a digest of an artifact, sometimes an alias or a file of a tree."""
    digest = Digest.parse(text)
    page = await here.reads.artifact(project, digest)
    if page is None:
        digest = await _resolved_or_member(here, project, text)
        page = await here.reads.artifact(project, digest)
    return page or ArtifactPage(digest, None, DigestSet.only(digest), [], [], [], [], in_trees=True)


async def _resolved_or_member(here: Parts, project: str, text: str) -> Digest:
    """As `resolved`; a file in a tree counts too, though nobody recorded it by itself."""
    try:
        return await resolved(here, project, text)
    except NotFoundError:
        digest = Digest.parse(text)
        async with here.database.reading() as connection:
            if not (await members.candidates(connection, project, digest)).trees:
                raise
        return digest


@router.get("/{digest}/attestations")
async def about(digest: str, caller: ProjectCaller, here: PartsHere) -> AttestationsAnswer:
    """The statements whose subject is the artifact."""
    known = await resolved(here, caller.project, digest)
    async with here.database.reading() as connection:
        return AttestationsAnswer.of(
            await attestations.about(connection, caller.project, known, limit=MAX_PAGE)
        )


@router.get("/{digest}/lineage", response_model_exclude_none=True)
async def trace(
    digest: str,
    caller: ProjectCaller,
    here: PartsHere,
    direction: Annotated[Literal["up", "down"], Query()] = "up",
    depth: Annotated[int, Query(ge=1, le=MAX_LINEAGE_DEPTH)] = 20,
) -> LineageAnswer:
    """The steps the artifact came from, or went into."""
    known = await resolved(here, caller.project, digest)
    async with here.database.reading() as connection:
        traced = await lineage.trace(connection, caller.project, known, up=direction == "up", depth=depth)
    return LineageAnswer(
        root=str(known),
        direction=direction,
        steps=[TracedStepAnswer.of(one) for one in traced.steps],
        truncated=traced.truncated,
    )
