"""Some files, in columns: a million objects would take ten times the memory."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, cast

from custody.capture.identity import IDENTITY_SIZE, Identity

DIGEST_SIZE = 32
# The one character that no name holds.
_BETWEEN = "\0"
_IDENTITY = struct.Struct(f"{IDENTITY_SIZE}s")
_DIGEST = struct.Struct(f"{DIGEST_SIZE}s")


class Batch(NamedTuple):
    """Files below the directory `folder`, which is empty or ends with a slash.

    If it is not empty they are those of no directory below it.

    `settled` says that each digest holds for as long as the identity beside it does.
    """

    folder: str
    joined: str
    identities: bytes
    digests: bytes
    settled: bool

    @property
    def names(self) -> list[str]:
        """The names of the files, from `folder` on."""
        return self.joined.split(_BETWEEN)

    def whole_names(self) -> Iterator[str]:
        """Yield the names of the files, with the directory."""
        return map(self.folder.__add__, self.names)

    def each_identity(self) -> Iterator[Identity]:
        """Yield the identities in the order of the names."""
        return cast("Iterator[Identity]", _singles(_IDENTITY, self.identities))

    def each_digest(self) -> Iterator[bytes]:
        """Yield the digests in the order of the names."""
        return _singles(_DIGEST, self.digests)

    def identity(self, number: int) -> Identity:
        """Return the identity of one file."""
        return Identity(self.identities[IDENTITY_SIZE * number : IDENTITY_SIZE * (number + 1)])

    def digest(self, number: int) -> bytes:
        """Return the digest of one file."""
        return self.digests[DIGEST_SIZE * number : DIGEST_SIZE * (number + 1)]

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.digests) // DIGEST_SIZE


def batch(
    folder: str, names: Iterable[str], identities: Iterable[Identity], digests: bytes, *, settled: bool
) -> Batch:
    """Pack files into columns."""
    return Batch(folder, _BETWEEN.join(names), b"".join(identities), digests, settled)


class Earlier:
    """The batches of an earlier snapshot, to be found by directory."""

    def __init__(self, batches: Iterable[Batch] = ()) -> None:
        """Sort `batches` by directory."""
        # Those below the root may hold files of many directories.
        self._mixed: list[Batch] = []
        self._batches: dict[str, list[Batch]] = {}
        for one in batches:
            (self._batches.setdefault(one.folder, []) if one.folder else self._mixed).append(one)
        self._split = False

    def unchanged(self, now: Batch) -> Batch | None:
        """Return the batch whose files are those of `now` and have not changed."""
        for one in self._beside(now):
            if one.settled and one.identities == now.identities and one.joined == now.joined:
                return one
        return None

    def known(self, now: Batch, identities: Iterable[Identity]) -> dict[Identity, bytes]:
        """Return what is known and settled of the digests of these `identities` of `now`."""
        found: dict[Identity, bytes] = {}
        left = set(identities)
        for one in self._around(now):
            if one.settled and left:
                there = dict(zip(one.each_identity(), one.each_digest(), strict=True))
                found.update((identity, there[identity]) for identity in left & there.keys())
                left -= there.keys()
        return found

    def differing(self, now: Batch) -> list[int]:
        """Return the numbers of the files of `now` that were not there with the same content."""
        for one in self._beside(now):
            if one is now or (one.digests == now.digests and one.joined == now.joined):
                return []
        left = {now.folder + name: number for number, name in enumerate(now.names)}
        for one in self._around(now):
            if left:
                for name, digest in zip(one.whole_names(), one.each_digest(), strict=True):
                    number = left.get(name)
                    if number is not None and now.digest(number) == digest:
                        del left[name]
        return list(left.values())

    def _beside(self, now: Batch) -> Sequence[Batch]:
        return self._batches.get(now.folder, ()) if now.folder else self._mixed

    def _around(self, now: Batch) -> Iterator[Batch]:
        """Yield all batches of the directories that `now` has files of."""
        if not self._split:
            self._split = True
            for part in chain.from_iterable(map(_parts, self._mixed)):
                self._batches.setdefault(part.folder, []).append(part)
        folders = dict.fromkeys([now.folder] if now.folder else map(_folder, now.names))
        for folder in folders:
            yield from self._batches.get(folder, ())


def _parts(whole: Batch) -> Iterator[Batch]:
    """Yield the files of a batch by directory."""
    if "/" not in whole.joined:
        yield whole
        return
    numbers: dict[str, list[int]] = {}
    names = whole.names
    for number, name in enumerate(names):
        numbers.setdefault(_folder(name), []).append(number)
    for folder, own in numbers.items():
        short = [names[number][len(folder) :] for number in own]
        digests = b"".join(map(whole.digest, own))
        yield batch(folder, short, map(whole.identity, own), digests, settled=whole.settled)


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]


def matching(now: Batch, wants: Callable[[str], bool]) -> list[int]:
    """Return the numbers of the files of `now` whose whole name is wanted."""
    return [number for number, name in enumerate(now.names) if wants(now.folder + name)]


def _singles(form: struct.Struct, column: bytes) -> Iterator[bytes]:
    return chain.from_iterable(form.iter_unpack(column))
