"""Taking in the files of a directory: listed with the digests that are known, then the rest is hashed."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress, repeat

from custody.capture.batches import DIGEST_SIZE, Batch, Earlier, batch
from custody.capture.clock import Tick
from custody.capture.hashing import hash_file
from custody.capture.identity import Identity, facts_of
from custody.capture.statcache import StatCache

# Called with the bytes hashed so far and the bytes to hash in all.
Advance = Callable[[int, int], None]

_UNKNOWN = bytes(DIGEST_SIZE)
_NOTHING = repeat(b"")


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be hashed, and why."""

    name: str
    reason: str


class Listing:
    """The files that a walk finds, in batches.

    Attributes:
        batches: What was found.
        gaps: By number of the batch, which of its digests are missing.
        missing: How many there are.
    """

    def __init__(self, cache: StatCache, before: Earlier | None, only: Callable[[str], bool] | None) -> None:
        """Prepare; `before` knows digests as `cache` does, and `only` says which names matter."""
        self.batches: list[Batch] = []
        self.gaps: dict[int, array[int]] = {}
        self.missing = 0
        self._known, self._before, self._only = cache.entries.get, before, only

    def take(self, folder: str, files: dict[str, Identity]) -> None:
        """Take in files below `folder`."""
        if self._only is not None:
            files = {name: at for name, at in files.items() if self._only(folder + name)}
        if not files:
            return
        identities = files.values()
        # Whole columns at C speed: ten thousand look-ups are the price of a warm capture.
        digests = b"".join(map(self._known, identities, _NOTHING))
        found = batch(folder, files, identities, digests, settled=True)
        if self._before is not None:
            # The very batch of the snapshot before, so that it takes no memory twice.
            found = self._before.unchanged(found) or found
        if len(found.digests) != DIGEST_SIZE * len(files):
            found = self._with_gaps(found, list(identities))
        self.batches.append(found)

    def _with_gaps(self, found: Batch, identities: list[Identity]) -> Batch:
        """Fill in what is known, and note what is not."""
        digests = list(map(self._known, identities))
        if self._before is not None:
            unknown = (identity for identity, raw in zip(identities, digests, strict=True) if raw is None)
            there = self._before.known(found, unknown)
            digests = [raw or there.get(one) for raw, one in zip(digests, identities, strict=True)]
        gaps = array("I", (number for number, raw in enumerate(digests) if raw is None))
        if gaps:
            self.gaps[len(self.batches)] = gaps
            self.missing += len(gaps)
        return found._replace(digests=b"".join(raw or _UNKNOWN for raw in digests))


class Hashing:
    """Hashes what a listing lacks, one file after the other.

    Attributes:
        unstable: The names of files that changed meanwhile.
        unread: What could not be hashed.
    """

    def __init__(self, root: str, listing: Listing, cache: StatCache, progress: Advance | None) -> None:
        """Prepare to fill the gaps of `listing`."""
        self._root, self._listing, self._cache, self._progress = root, listing, cache, progress
        self._total = self._size() if progress else 0
        self._read = 0
        self._tick: Tick | None = None
        self.unstable: list[str] = []
        self.unread: list[Unread] = []

    def hash(self) -> None:
        """Hash them; the clock is read once, before the first."""
        listing = self._listing
        if not listing.missing:
            return
        self._cache.make_room(listing.missing, self._identities())
        self._tick = self._cache.tick(self._root)
        for number, gaps in listing.gaps.items():
            listing.batches[number] = self._filled(listing.batches[number], gaps)

    def _filled(self, one: Batch, gaps: array[int]) -> Batch:
        """Return a batch with the digests that it lacks, without the files that have none."""
        names, identities, digests = one.names, list(one.each_identity()), list(one.each_digest())
        settled, there = True, bytearray(b"\1") * len(names)
        count = self._count if self._progress else None
        for number in gaps:
            name = one.folder + names[number]
            try:
                hashed = hash_file(f"{self._root}/{name}", expected=identities[number], progress=count)
            except OSError as error:
                there[number] = 0
                if not isinstance(error, FileNotFoundError):
                    self.unread.append(Unread(name, error.strerror or str(error)))
                continue
            identities[number], digests[number] = hashed.identity, hashed.raw
            settled &= self._cache.remember(hashed, self._tick)
            if not hashed.stable:
                self.unstable.append(name)
        kept = b"".join(compress(digests, there))
        return batch(one.folder, compress(names, there), compress(identities, there), kept, settled=settled)

    def _identities(self) -> Iterator[Identity]:
        for one in self._listing.batches:
            yield from one.each_identity()

    def _size(self) -> int:
        """Return how many bytes there are to hash."""
        batches = self._listing.batches
        return sum(
            facts_of(batches[number].identity(gap)).size
            for number, gaps in self._listing.gaps.items()
            for gap in gaps
        )

    def _count(self, count: int) -> None:
        self._read += count
        if self._progress is not None:
            self._progress(self._read, max(self._total, self._read))
