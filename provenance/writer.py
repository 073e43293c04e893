"""The one writer of statements: what it returns is signed, stored and served as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


def encode(statement: Mapping[str, object]) -> bytes:
    """Write `statement` as JSON with sorted members and no spaces."""
    return orjson.dumps(statement, option=orjson.OPT_SORT_KEYS)
