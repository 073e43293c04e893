"""How far a tree has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest

PURGED: Final = "contents of it were purged"
"""Why a tree is incomplete that can never be complete again."""


class TreeState(StrEnum):
    """What is known of the bytes of a tree."""

    CHECKING = "checking"
    """A worker has yet to look."""
    PRESENT = "present"
    """A worker has seen every byte of it; only removing some of them changes this."""
    INCOMPLETE = "incomplete"
    """Contents are missing, and nothing that was said of it is wrong."""
    REFUSED = "refused"
    """What was said of it is wrong; a right claim may still come."""


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A tree as the index knows it."""

    digest: Digest
    state: TreeState
    reason: str | None
    missing: tuple[str, ...]
    entries: int
    size: int
    stored: Digest
    """Of the compressed manifest as it rests."""
    layout: Digest | None
    layout_stored: Digest | None
    """Of the compressed layout as it rests."""
    stored_size: int | None = None
    """Bytes of the manifest as it rests, where they were counted."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a worker found."""

    state: TreeState
    reason: str | None = None
    missing: tuple[str, ...] = ()
    layout: Digest | None = None
    layout_stored: Digest | None = None
    layout_stored_size: int | None = None
