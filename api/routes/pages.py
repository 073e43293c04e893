"""The fixed pages behind the URLs of a statement, and the public keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.auth import PartsHere
from api.key_answers import KeyAnswer, KeysAnswer
from artifacts.errors import CustodyError
from provenance.published_keys import published

router = APIRouter(tags=["pages"])
_PAGES: Final = Environment(
    loader=PackageLoader("api", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_FIXED: Final = {"Cache-Control": "no-cache"}


def _page(name: str, **facts: object) -> HTMLResponse:
    return HTMLResponse(_PAGES.get_template(name).render(**facts), headers=_FIXED)


@router.get("/.well-known/custody/keys.json")
async def keys(here: PartsHere) -> KeysAnswer:
    """The public keys. A convenience, not trust: compare the fingerprint with one you pinned."""
    found = [
        KeyAnswer(
            keyid=key.keyid,
            builder_id=key.builder_id,
            algorithm=key.algorithm,
            public_key=key.public_key,
            created_at=key.created_at,
        )
        for key in await published(here.store)
    ]
    return KeysAnswer(version=1, public_url=here.public_url, keys=found)


@router.get("/builders/local/v1", response_class=HTMLResponse)
async def builder(here: PartsHere) -> HTMLResponse:
    """What the builder id in a statement means, and what it does not."""
    return _page("builder-local.html", url=here.public_url)


@router.get("/buildtypes/step/v1", response_class=HTMLResponse)
async def build_type(here: PartsHere) -> HTMLResponse:
    """What the build type in a statement means."""
    return _page("buildtype-step.html", url=here.public_url)


@router.get("/predicates/record/v1", response_class=HTMLResponse)
async def predicate(here: PartsHere) -> HTMLResponse:
    """What a signed record says."""
    return _page("predicate-record.html", url=here.public_url)


@router.get("/predicates/tombstone/v1", response_class=HTMLResponse)
async def tombstone(here: PartsHere) -> HTMLResponse:
    """What a signed removal says."""
    return _page("predicate-tombstone.html", url=here.public_url)


@router.get("/predicates/hold/v1", response_class=HTMLResponse)
async def hold(here: PartsHere) -> HTMLResponse:
    """What a signed word about a hold says."""
    return _page("predicate-hold.html", url=here.public_url)


@router.get("/problems", response_class=HTMLResponse)
async def problems() -> HTMLResponse:
    """Every problem type, with a heading for each."""
    return _page("problems.html", kinds=list(every_error(CustodyError)))


def every_error(root: type[CustodyError]) -> Iterator[type[CustodyError]]:
    """`root` and all its subclasses."""
    yield root
    for kind in root.__subclasses__():
        yield from every_error(kind)
