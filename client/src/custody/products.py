"""What a step made, on its way into the record."""

from __future__ import annotations

from dataclasses import dataclass

from custody.contents import HashedFile

NOT_STORED = "not stored"
KEPT = "kept here"


@dataclass(frozen=True, slots=True)
class Produced:
    """A file that a step made, under the name it has in the record."""

    name: str
    file: HashedFile


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an output: the digest the service has, and what was wrong with it."""

    name: str
    digest: str
    size: int
    how: str
    trouble: str | None = None

    @property
    def stored(self) -> bool:
        """Whether it is in the record."""
        return self.how != NOT_STORED


def refused(one: Produced, why: str) -> Kept:
    """Return that an output is not in the record, and why."""
    return Kept(one.name, one.file.digest, one.file.size, NOT_STORED, why)
