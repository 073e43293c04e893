"""What every object store promises."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from artifacts.digest import Digest
from artifacts.errors import CustodyError
from artifacts.layout import Key


@dataclass(frozen=True, slots=True)
class Staged:
    """An upload that is complete and hashed, and not yet published.

    `mark` is what the store calls this very content of `key` (an ETag), so that nothing
    else can be published in its place; empty where nobody else can reach it. `held` are
    the bytes themselves, where they were too few to be worth a staged object.
    """

    key: Key
    digest: Digest
    size: int
    mark: str = ""
    held: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """One object of a listing."""

    key: Key
    size: int
    changed_at: datetime


@runtime_checkable
class ReadsTogether(Protocol):
    """A store that reads many small objects in one go, because a call costs it more than a read."""

    async def read_each(self, keys: Sequence[Key]) -> list[bytes | CustodyError]:
        """As `read` of each key; in the place of a content that there is not stands why."""


class ObjectStore(Protocol):
    """Objects written once. Safe for concurrent use; every call may be retried.

    Promoting to, or putting at, a known key does nothing, because keys name their content
    or were decided by the database. `replace` alone overwrites; it is for objects that were
    found to be damaged. When `promote`, `put` or `replace` returns, the object survives a
    crash of the machine.

    Raises `UnavailableError` when the back end does not answer.
    """

    async def stage(self, content: AsyncIterable[bytes], *, at: datetime, limit: int) -> Staged:
        """Keep `content` under a random key and return its digest and size, hashed here.

        Raises:
            LimitExceededError: `content` is longer than `limit` bytes; nothing is kept.
        """

    async def promote(self, staged: Staged, key: Key) -> None:
        """Publish exactly the bytes that were hashed under `key`, and end the staging."""

    async def replace(self, staged: Staged, key: Key) -> None:
        """Publish exactly the bytes that were hashed over whatever lies under `key`, in one step.

        At no moment is there nothing under `key`, and nobody reads a mixture: it is the old
        object or the new one. The staging ends.
        """

    async def discard(self, staged: Staged) -> None:
        """End a staging without publishing anything."""

    async def put(self, key: Key, content: bytes) -> None:
        """Publish `content` under `key`, whole or not at all."""

    def open(self, key: Key, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Read `length` bytes from `start`, or all to the end.

        Raises:
            NotFoundError: there is no such object.
        """

    async def read(self, key: Key, *, start: int = 0, length: int | None = None) -> bytes:
        """As `open`, in one piece; for small objects."""

    async def size(self, key: Key) -> int | None:
        """The size in bytes, or None where there is no such object."""

    async def assemble(self, parts: Sequence[Key], *, at: datetime) -> Staged:
        """Join `parts` into one object that no client can name, and hash that.

        The parts may change while this runs: what counts is what was joined. They stay.

        Raises:
            NotFoundError: a part is not there.
        """

    def presign_put(self, key: Key, *, size: int, seconds: int) -> str | None:
        """A URL that takes exactly `size` bytes for `key` for `seconds`; None where there is none.

        Raises:
            InvalidInputError: `key` is not in `staging/`.
        """

    def presign_get(self, key: Key, *, seconds: int) -> str | None:
        """A URL that gives `key` as an attachment for `seconds`; None where there is none."""

    async def forget_unfinished(self, *, before: datetime) -> int:
        """End writes that were begun before then and never finished; return how many."""

    async def delete(self, key: Key) -> None:
        """Remove the object; nothing happens where there is none."""

    def list(self, prefix: str) -> AsyncIterator[Listed]:
        """Every object whose key begins with `prefix`, in no order."""
