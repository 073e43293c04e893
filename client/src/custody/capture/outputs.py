"""What a command made: the files whose content is new or different once it has ended.

`snapshot` before, `snapshot` after with the same cache, `changed` between them.
Content decides, not time stamps: a file written again with the same bytes is no
output, and an edit that sets size and mtime back is found by its ctime.
"""

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from custody.capture.batches import Batch, Earlier
from custody.capture.identity import Identity, facts_of
from custody.capture.ignore import Ignore
from custody.capture.listing import Advance, Hashing, Listing, Unread
from custody.capture.names import WireName, wire_name
from custody.capture.scan import AT_ONCE, Skipped, walk
from custody.capture.statcache import StatCache


@dataclass(frozen=True, slots=True)
class Output:
    """One captured file.

    `name` is relative to the root and `path` absolute, both as the system names
    the file. `stable` is false when the file changed while it was hashed. Give
    `identity` to `open_regular` when the bytes are read again.
    """

    name: str
    path: str
    digest: str
    size: int
    stable: bool
    identity: Identity

    @property
    def wire(self) -> WireName:
        """The name as a statement may carry it."""
        return wire_name(self.name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a directory at one time; `hashed` counts the files that the cache did not know."""

    root: str
    batches: tuple[Batch, ...]
    unstable: frozenset[str]
    unread: tuple[Unread, ...]
    skipped: tuple[Skipped, ...]
    hashed: int

    def __len__(self) -> int:
        """Return how many files were captured."""
        return sum(one.files for one in self.batches)

    def names(self) -> Iterator[str]:
        """Yield the captured files, relative to the root."""
        for one in self.batches:
            yield from one.whole_names()

    def identities(self) -> Iterator[Identity]:
        """Yield what the stat cache should remember the digests by."""
        for one in self.batches:
            yield from one.each_identity()

    def digests(self) -> dict[str, bytes]:
        """Return all digests by name: much memory, where there are many."""
        return dict(zip(self.names(), chain.from_iterable(map(Batch.each_digest, self.batches)), strict=True))

    def output(self, batch: Batch, number: int, name: str) -> Output:
        """Return one file of a batch."""
        whole, identity = batch.folder + name, batch.identity(number)
        digest, size = f"sha256:{batch.digest(number).hex()}", facts_of(identity).size
        return Output(whole, f"{self.root}/{whole}", digest, size, whole not in self.unstable, identity)


class Outputs:
    """Captured files, made one by one when they are asked for: they may be a million.

    They come by name; where they are very many, directory by directory.
    """

    def __init__(self, after: Snapshot, chosen: Iterable[tuple[Batch, Sequence[int]]]) -> None:
        """Keep which files of `after` are meant: in each batch those with these numbers."""
        self._after = after
        self._chosen = [(one, array("I", numbers)) for one, numbers in chosen if numbers]
        self._chosen.sort(key=lambda pair: pair[0].folder)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(len(numbers) for _, numbers in self._chosen)

    def __iter__(self) -> Iterator[Output]:
        """Yield them."""
        if len(self) <= AT_ONCE:
            return iter(sorted(self._each(), key=lambda one: one.name))
        return self._each()

    def _each(self) -> Iterator[Output]:
        for batch, numbers in self._chosen:
            names = batch.names
            for number in sorted(numbers, key=names.__getitem__):
                yield self._after.output(batch, number, names[number])


def snapshot(
    root: str | os.PathLike[str],
    *,
    ignore: Ignore,
    cache: StatCache,
    only: Callable[[str], bool] | None = None,
    before: Snapshot | None = None,
    progress: Advance | None = None,
) -> Snapshot:
    """Capture the content of every file below `root` that is not left out.

    Files that the cache knows are not opened. The others are hashed, and remembered
    where that is safe; a file too young to be remembered is hashed again next time.

    Args:
        root: The directory.
        ignore: What is left out.
        cache: Used and added to; the caller loads and saves it.
        only: Hash no other names than those it says yes to.
        before: Knows digests as the cache does. What is as it was takes no memory twice.
        progress: Told how far the hashing is.

    Raises:
        OSError: `root` cannot be opened as a directory.
    """
    top = os.path.abspath(root)
    listing = Listing(cache, None if before is None else Earlier(before.batches), only)
    skipped, _ = walk(top, ignore, listing.take)
    rest = Hashing(top, listing, cache, progress)
    rest.hash()
    unstable, unread = frozenset(rest.unstable), tuple(rest.unread)
    batches = tuple(one for one in listing.batches if one.joined)
    return Snapshot(top, batches, unstable, unread, skipped, listing.missing)


def changed(before: Snapshot, after: Snapshot) -> Outputs:
    """Return the files of `after` that `before` had not or had with other content."""
    was = Earlier(before.batches)
    return Outputs(after, ((one, was.differing(one)) for one in after.batches))
