"""Trees: what is missing, manifests and claims in; states, layouts, listings and tars out."""

from __future__ import annotations

import asyncio
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from api.answers import MissingAnswer
from api.auth import PartsHere, ProjectCaller, SendingCaller, StepTarget, require_project
from api.bodies import ContentsBody, TreeBody
from api.strict_route import StrictRoute
from api.tree_answers import EntriesAnswer, EntryAnswer, TreeAnswer, TreeOutputAnswer
from artifacts import layout
from artifacts.digest import Digest
from artifacts.errors import NotFoundError
from artifacts.limits import MAX_PAGE, MAX_TREE_JSON_BYTES, MAX_WAIT_SECONDS
from artifacts.refs import checked_output_name
from artifacts.trees import listing, tar
from artifacts.trees.claims import checked_hex
from artifacts.trees.contents import TreeContents
from artifacts.trees.gathering import Gatherer
from artifacts.trees.reading import resting
from artifacts.trees.states import TreeRow, TreeState
from artifacts.trees.taking import Trees

_ZSTD = "application/zstd"
_IMMUTABLE = "private, immutable, max-age=31536000"


class TreeRoute(StrictRoute):
    """Takes longer bodies: a proposal names every new file."""

    max_json_bytes: ClassVar[int] = MAX_TREE_JSON_BYTES


router = APIRouter(prefix="/v1/trees", route_class=TreeRoute, tags=["trees"])
outputs_router = APIRouter(prefix="/v1/steps/{step_id}", route_class=StrictRoute, tags=["steps"])


def _trees(here: PartsHere) -> Trees:
    return Trees(here.database, here.store, here.clock, here.quotas, here.naming)


TreesHere = Annotated[Trees, Depends(_trees)]


def _of_tree(digest: str) -> Digest:
    tree = Digest.parse(digest)
    if tree.algorithm != "sha256":
        raise NotFoundError("there is no such tree here", digest=digest[:200])
    return tree


async def _known(digest: str, caller: ProjectCaller, known: TreesHere) -> TreeRow:
    return await known.find(caller.project, _of_tree(digest))


KnownTree = Annotated[TreeRow, Depends(_known)]
"""The tree of the route, which is one of the caller's project."""


async def _sent(digest: str, caller: SendingCaller, known: TreesHere) -> TreeRow:
    if caller.step is None:
        return await known.find(caller.project, _of_tree(digest))
    return await known.find_sent(caller.project, _of_tree(digest), caller.step)


SentTree = Annotated[TreeRow, Depends(_sent)]
"""As `KnownTree`; a step token knows only the trees whose manifests it sent."""


class EntriesQuery(BaseModel):
    """The query of a listing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = ""
    cursor: str = ""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = MAX_PAGE


@router.post("/missing")
async def missing(body: ContentsBody, caller: SendingCaller, known: TreesHere) -> MissingAnswer:
    """Those contents that no tree of this project could use yet; other projects do not count."""
    asked = [checked_hex(text) for text in body.digests]
    return MissingAnswer(missing=[raw.hex() for raw in await known.missing(caller.project, asked)])


@router.put(
    "/{digest}/manifest",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses={200: {"model": TreeAnswer}},
)
async def put_manifest(
    digest: str, caller: SendingCaller, known: TreesHere, request: Request, response: Response
) -> TreeAnswer:
    """Store the manifest of a tree, compressed. 201 when new, 200 when it was stored before."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != _ZSTD:
        raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, f"send the manifest as {_ZSTD}")
    tree, content = _of_tree(digest), request.stream()
    row, new = await known.put_manifest(caller.project, tree, content, step=caller.step)
    if not new:
        response.status_code = status.HTTP_200_OK
    return TreeAnswer.of(row)


@router.post("/{digest}", response_model_exclude_none=True, responses={202: {"model": TreeAnswer}})
async def propose(
    tree: SentTree, body: TreeBody, caller: SendingCaller, known: TreesHere, response: Response
) -> TreeAnswer:
    """Say where the files of a tree lie. 202 while a worker checks that, 200 when it is present."""
    claims = await asyncio.to_thread(lambda: [pack.to_claim() for pack in body.packs])
    row = await known.propose(caller.project, tree.digest, claims)
    if row.state is not TreeState.PRESENT:
        response.status_code = status.HTTP_202_ACCEPTED
    return TreeAnswer.of(row)


@router.get(
    "/{digest}",
    response_model=TreeAnswer,
    response_model_exclude_none=True,
    responses={200: {"content": {tar.MEDIA_TYPE: {}}}},
)
async def look(
    tree: SentTree,
    caller: SendingCaller,
    here: PartsHere,
    known: TreesHere,
    as_: Annotated[Literal["tar"] | None, Query(alias="as")] = None,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0,
) -> Response | TreeAnswer:
    """The tree and what is known of its bytes; with `?as=tar` the tree itself."""
    row = await known.wait_checked(caller.project, tree.digest, seconds=wait)
    if as_ is None:
        return TreeAnswer.of(row)
    require_project(caller)  # a step sends, and reads nothing back
    here.naming.use(caller.project, tree.digest)
    contents = TreeContents(here.database, here.store, here.content, caller.project)
    content = tar.stream(here.store, contents, caller.project, _present(row).digest)
    headers = {"Cache-Control": _IMMUTABLE, "Content-Disposition": "attachment"}
    return StreamingResponse(content, headers=headers, media_type=tar.MEDIA_TYPE)


def _present(row: TreeRow) -> TreeRow:
    if row.state is not TreeState.PRESENT:
        raise NotFoundError(
            "the bytes of this tree are not all here", digest=str(row.digest), state=row.state.value
        )
    return row


@router.get("/{digest}/manifest", response_class=Response)
async def manifest(
    tree: KnownTree,
    caller: ProjectCaller,
    here: PartsHere,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The manifest, compressed."""
    here.naming.use(caller.project, tree.digest)
    headers = {"ETag": f'"{tree.digest}"', "Cache-Control": _IMMUTABLE}
    if if_none_match is not None and headers["ETag"] in if_none_match:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    content = resting(here.store, layout.manifest(caller.project, tree.digest), tree.stored)
    return StreamingResponse(content, headers=headers, media_type=_ZSTD)


@router.get("/{digest}/layout", response_class=Response)
async def tree_layout(
    tree: KnownTree,
    caller: ProjectCaller,
    here: PartsHere,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The layout that the state of the tree names, compressed."""
    row = _present(tree)
    if row.layout is None or row.layout_stored is None:
        raise NotFoundError("the tree has no layout", digest=str(row.digest))
    # One tree may get another layout one day, so this address is not for ever.
    headers = {"ETag": f'"{row.layout}"', "Cache-Control": "private, no-cache"}
    if if_none_match is not None and headers["ETag"] in if_none_match:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    content = resting(here.store, layout.tree_layout(caller.project, row.layout), row.layout_stored)
    return StreamingResponse(content, headers=headers, media_type=_ZSTD)


@router.get("/{digest}/entries", response_model_exclude_none=True)
async def entries(
    tree: KnownTree,
    caller: ProjectCaller,
    here: PartsHere,
    request: Request,
    response: Response,
    query: Annotated[EntriesQuery, Query()],
) -> EntriesAnswer:
    """The entries of a tree below a path, a page at a time, in the order of the manifest."""
    page = listing.Page(listing.path_of(query.prefix), listing.path_of(query.cursor), query.limit)
    found = await listing.entries_of(here.store, caller.project, tree.digest, page)
    answer = EntriesAnswer(entries=[EntryAnswer.of(entry) for entry in found])
    if len(found) == query.limit:
        following = request.url.include_query_params(cursor=answer.entries[-1].path)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return answer


@outputs_router.post(
    "/outputs/{prefix:path}/tree",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    responses={200: {"model": TreeOutputAnswer}},
)
async def gather(
    prefix: str, to: StepTarget, here: PartsHere, known: TreesHere, response: Response
) -> TreeOutputAnswer:
    """Make a tree of the outputs below a name and record it as an output of that name."""
    name = checked_output_name(prefix)
    gathered = await Gatherer(known, here.content, here.database, here.store).gather(to, name)
    counted = await here.recorder.add_outputs(to, [gathered.output])
    if not counted.recorded:
        response.status_code = status.HTTP_200_OK
    described = TreeAnswer.of(gathered.tree).model_dump()
    return TreeOutputAnswer(name=name, **described)
