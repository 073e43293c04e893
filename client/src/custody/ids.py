"""Ids and tokens that a client chooses for itself."""

from __future__ import annotations

import re
import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_ulid() -> str:
    """Return a fresh ULID: 48 bits of milliseconds, 80 bits of chance, upper case."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -5, -5))


def is_ulid(text: str) -> bool:
    """Return whether `text` is written like a ULID."""
    return _ULID.fullmatch(text) is not None


def new_step_token() -> str:
    """Return a fresh step token: a prefix that scanners find, and 32 random bytes."""
    return f"cst_{secrets.token_urlsafe(32)}"
