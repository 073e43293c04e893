"""What disks, wires and people do to stored bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from tests.fakes.s3.shelf import Shelf, Stored, etag


class Place(Protocol):
    """Where objects lie, for those who come behind the service's back."""

    def names(self, prefix: str) -> list[str]:
        """The keys that begin so, sorted."""

    def read(self, name: str) -> bytes:
        """What lies there."""

    def write(self, name: str, content: bytes) -> None:
        """Let `content` lie there."""

    def remove(self, name: str) -> None:
        """Let nothing lie there."""


class Folder:
    """The objects of a directory store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, prefix: str) -> list[str]:
        """The keys that begin so, sorted."""
        top = self._root / prefix.rpartition("/")[0]
        found = (str(path.relative_to(self._root)) for path in top.rglob("*") if path.is_file())
        return sorted(name for name in found if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """What lies there."""
        return (self._root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Let `content` lie there."""
        path = self._root / name
        if path.exists():
            path.chmod(0o600)
        path.write_bytes(content)

    def remove(self, name: str) -> None:
        """Let nothing lie there."""
        (self._root / name).unlink()


class OnShelf:
    """The objects that the fake S3 server keeps below a prefix."""

    def __init__(self, shelf: Shelf, prefix: str) -> None:
        self._shelf = shelf
        self._prefix = f"{prefix}/"

    def names(self, prefix: str) -> list[str]:
        """The keys that begin so, sorted."""
        whole = self._prefix + prefix
        return sorted(
            name.removeprefix(self._prefix) for name in self._shelf.objects if name.startswith(whole)
        )

    def read(self, name: str) -> bytes:
        """What lies there."""
        return self._shelf.objects[self._prefix + name].content

    def write(self, name: str, content: bytes) -> None:
        """Let `content` lie there."""
        self._shelf.objects[self._prefix + name] = Stored(content, etag(content), datetime.now(UTC))

    def remove(self, name: str) -> None:
        """Let nothing lie there."""
        del self._shelf.objects[self._prefix + name]


def flipped(chance: random.Random, content: bytes) -> bytes:
    """One bit is wrong."""
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut_off(chance: random.Random, content: bytes) -> bytes:
    """The end is missing, perhaps all of it."""
    return content[: chance.randrange(len(content))]


def zeroed(chance: random.Random, content: bytes) -> bytes:
    """A stretch of it is zeros, as after a crash of a file system."""
    start = chance.randrange(len(content))
    length = chance.randint(1, len(content) - start)
    zeros = content[:start] + bytes(length) + content[start + length :]
    return zeros if zeros != content else bytes(len(content))


def extended(chance: random.Random, content: bytes) -> bytes:
    """There is more at the end."""
    return content + chance.randbytes(chance.randint(1, 5000))


CHANGES: Final[Mapping[str, Callable[[random.Random, bytes], bytes]]] = {
    "one bit flipped": flipped,
    "cut off": cut_off,
    "filled with zeros": zeroed,
    "extended": extended,
}
SWAPPED: Final = "two swapped"
REMOVED: Final = "removed"


def spoil(place: Place, chance: random.Random, way: str, name: str, other: str) -> None:
    """Damage the object `name`; where two are swapped, `other` too."""
    if way == REMOVED:
        place.remove(name)
    elif way == SWAPPED:
        mine, theirs = place.read(name), place.read(other)
        place.write(name, theirs)
        place.write(other, mine)
    else:
        content = place.read(name)
        changed = CHANGES[way](chance, content)
        assert changed != content
        place.write(name, changed)
