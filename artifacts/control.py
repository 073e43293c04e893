"""What is decided about stored bytes by nobody's step: removals and holds.

Worker and operator decide in rows, which count from then on. The signer makes each of them a
signed object in `control/`, so that it outlives the index. The values here are right once
built: the signer, which trusts no row, and `reindex`, which trusts no object, both build them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.identifiers import checked_ulid
from artifacts.limits import MAX_INTEGER
from artifacts.refs import checked_name
from artifacts.steps import checked_project

CONTROL: Final = "control"
"""The queue of decisions to be signed; a topic is the `topic` of the decision."""
BLOB: Final = "blob"
TREE: Final = "tree"
PLACED: Final = "placed"
LIFTED: Final = "lifted"
MAX_GENERATION: Final = 99_999_999

_WORD: Final = re.compile(r"[a-z]+(-[a-z]+)*")
_TOMBSTONE: Final = re.compile(r"tombstone/(blob|tree)/([0-9a-f]{64})/([1-9][0-9]{0,7})")
_HOLD: Final = re.compile(r"hold/([0-9a-f]{64})/([0-7][0-9A-HJKMNP-TV-Z]{25})")


@dataclass(frozen=True, slots=True, order=True)
class RemovalName:
    """Which removal: of what, and its number among the removals of that."""

    project: str
    kind: str
    digest: Digest
    generation: int

    def __post_init__(self) -> None:
        checked_project(self.project)
        _check_digest(self.digest)
        if self.kind not in {BLOB, TREE}:
            raise InvalidInputError("bytes are removed as a blob or as a tree", given=self.kind[:40])
        if not 1 <= self.generation <= MAX_GENERATION:
            raise InvalidInputError("not a generation", given=self.generation)

    @property
    def topic(self) -> str:
        """Its place on the signer's queue."""
        return f"tombstone/{self.kind}/{self.digest.hex}/{self.generation}"


@dataclass(frozen=True, slots=True, order=True)
class EventName:
    """Which word about a hold: of what, and its id."""

    project: str
    digest: Digest
    event: str

    def __post_init__(self) -> None:
        checked_project(self.project)
        _check_digest(self.digest)
        checked_ulid(self.event)

    @property
    def topic(self) -> str:
        """Its place on the signer's queue."""
        return f"hold/{self.digest.hex}/{self.event}"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The bytes of a digest were removed; where `barred`, they are never taken in again.

    The bar is lifted by the next generation, which is not barred.
    """

    name: RemovalName
    reason: str
    """One word: `unnamed`, `rule`, `packed-anew`, `purged`, `lifted`."""
    detail: str | None
    """The rule, or what the operator said."""
    barred: bool
    size: int
    decided_at: datetime
    gone_at: datetime

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.reason) or len(self.reason) > 40:
            raise InvalidInputError("the reason of a removal is one word", given=self.reason[:80])
        if self.detail is not None:
            checked_name(self.detail, "what is said of a removal")
        if not 0 <= self.size <= MAX_INTEGER:
            raise InvalidInputError("not a size", given=self.size)
        if self.gone_at < self.decided_at:
            raise InvalidInputError("bytes are gone after that was decided, not before")


@dataclass(frozen=True, slots=True)
class HoldEvent:
    """A hold was placed on a digest, or lifted from it."""

    name: EventName
    state: str
    reason: str
    at: datetime

    def __post_init__(self) -> None:
        if self.state not in {PLACED, LIFTED}:
            raise InvalidInputError("a hold is placed or lifted", given=self.state[:40])
        checked_name(self.reason, "the reason of a hold")


Decision: TypeAlias = Tombstone | HoldEvent


def named_by(project: str, topic: str) -> RemovalName | EventName:
    """The decision that a job of the queue `CONTROL` is about.

    Raises:
        InvalidInputError: nobody here names one so.
    """
    removed = _TOMBSTONE.fullmatch(topic)
    if removed is not None:
        return RemovalName(project, removed[1], Digest("sha256", removed[2]), int(removed[3]))
    held = _HOLD.fullmatch(topic)
    if held is not None:
        return EventName(project, Digest("sha256", held[1]), held[2])
    raise InvalidInputError("not a decision that is signed", given=topic[:200])


def _check_digest(digest: Digest) -> None:
    if digest.algorithm != "sha256":
        raise InvalidInputError("bytes are kept under their sha256 only", given=str(digest))
