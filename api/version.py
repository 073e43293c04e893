"""Which version this is, and which clients it serves; `docs/operating.md` has the policy."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
OLDEST_CLIENT: Final = "0.1.0"
"""Older ones are served as far as they get: this is what they are told, not a gate."""
HEADER: Final = f"{VERSION}; oldest-client={OLDEST_CLIENT}"
"""The value of the field `Custody-Version` in every answer."""
