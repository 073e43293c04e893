"""ULIDs: ids that sort by the time they were made (github.com/ulid/spec)."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from artifacts.errors import InvalidInputError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# 26 characters of 5 bits hold 130 bits; the first is at most 7 so that 128 are not exceeded.
_FORM = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_RANDOM_BITS = 80


def new_ulid(at: datetime) -> str:
    """Make a ULID of the moment `at` and 80 random bits."""
    number = int(at.timestamp() * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def checked_ulid(text: str) -> str:
    """Return `text` if it is a ULID in upper case.

    Raises:
        InvalidInputError: it is not.
    """
    if not _FORM.fullmatch(text):
        raise InvalidInputError("not a ULID", hint="26 characters of Crockford base32", given=text[:40])
    return text
