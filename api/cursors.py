"""Paging: opaque cursors and `Link` fields (RFC 8288)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import URL

from artifacts.errors import InvalidInputError
from artifacts.limits import MAX_INTEGER, MAX_PAGE
from artifacts.queries.addresses import address
from artifacts.queries.lookups import Named

After = tuple[int, str, str, str]


class FindQuery(BaseModel):
    """The query of a list of artifacts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str | None = None
    name: str | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 100


def parse_cursor(text: str | None) -> After | None:
    """Where a page begins.

    Raises:
        InvalidInputError: `text` is no cursor of ours.
    """
    if text is None:
        return None
    try:
        at, hex_address, uri, name = orjson.loads(base64.urlsafe_b64decode(text))
        bytes.fromhex(hex_address)
        after = (int(at), str(hex_address), str(uri), str(name))
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise _not_ours() from error
    if not 0 <= after[0] <= MAX_INTEGER:  # the index cannot even compare what is longer
        raise _not_ours()
    return after


def _not_ours() -> InvalidInputError:
    return InvalidInputError("not a cursor", hint="use the one of the Link field")


def next_link(url: URL, last: Named) -> str:
    """The `Link` field that leads past `last`; relative, because a Host header is never believed."""
    after = [last.recorded_at, address(last.digest).hex(), last.uri, last.name]
    cursor = base64.urlsafe_b64encode(orjson.dumps(after)).decode()
    following = url.include_query_params(cursor=cursor)
    return f'<{following.path}?{following.query}>; rel="next"'
