"""Times as they are written on the wire."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the present in RFC 3339, UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
