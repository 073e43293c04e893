"""Sizes as people write them."""

from __future__ import annotations

import re

from custody.errors import MisuseError

_FORM = re.compile(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def parse_size(written: str) -> int:
    """Read `500M`, `10GiB` or a number of bytes; the letters mean powers of 1024.

    Raises:
        MisuseError: It is no size.
    """
    found = _FORM.fullmatch(written.strip())
    if found is None:
        raise MisuseError(f"{written[:100]} is no size", hint="write it like 500MiB or 10GiB")
    return int(found[1]) << _POWERS[found[2].upper()]
