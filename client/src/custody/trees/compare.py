"""What differs between two trees, held in memory or, where they are large, in files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from custody.trees.escapes import unescape
from custody.trees.manifest import FOLDER, MODES, Manifest

IN_MEMORY = 250_000
"""Entries of a tree that is held in memory; two of a million would take more than a command may."""


@dataclass(frozen=True, slots=True)
class Side:
    """An entry as one of the two trees has it."""

    mode: str
    digest: str | None
    size: int


Entry = tuple[bytes, Side]


@dataclass(frozen=True, slots=True)
class Listing:
    """The entries of a tree, told in the order of their paths as often as it is asked, once at a time."""

    digest: str
    entries: Callable[[], Iterator[Entry]]
    close: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Difference:
    """A path that is not the same in both trees; None where a tree does not have it."""

    path: bytes
    before: Side | None
    after: Side | None

    @property
    def kind(self) -> str:
        """Which of added, removed and changed it is."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


def side(manifest: Manifest, entry: int) -> Side:
    """Return what `manifest` says of one entry."""
    kind = manifest.kinds[entry]
    digest = None if kind == FOLDER else f"sha256:{manifest.raw(entry).hex()}"
    return Side(MODES[kind].decode(), digest, manifest.sizes[entry])


def listing(manifest: Manifest, *, in_memory: int = IN_MEMORY) -> Listing:
    """Return the entries of `manifest`; one of more than `in_memory` need not be kept for it."""
    if len(manifest) > in_memory:
        return _filed(manifest)
    return Listing(
        manifest.digest,
        lambda: ((path, side(manifest, entry)) for entry, path in enumerate(manifest.paths)),
    )


def differences(before: Listing, after: Listing) -> Iterator[Difference]:
    """Yield every path where the trees differ, in the order of the paths."""
    if before.digest == after.digest:
        return
    left, right = before.entries(), after.entries()
    one, other = next(left, None), next(right, None)
    while one is not None or other is not None:
        if one is not None and (other is None or one[0] < other[0]):
            yield Difference(one[0], one[1], None)
            one = next(left, None)
        elif other is not None and (one is None or other[0] < one[0]):
            yield Difference(other[0], None, other[1])
            other = next(right, None)
        elif one is not None and other is not None:
            if one[1] != other[1]:
                yield Difference(one[0], one[1], other[1])
            one, other = next(left, None), next(right, None)


def _filed(manifest: Manifest) -> Listing:
    """Write a tree that was read, and so checked, to a file without a name."""
    kept = tempfile.TemporaryFile(prefix="custody-")  # noqa: SIM115 - closed with the listing
    kept.writelines(manifest.lines())
    kept.flush()

    def entries() -> Iterator[Entry]:
        kept.seek(0)
        return map(_read, islice(kept, 1, None))

    return Listing(manifest.digest, entries, kept.close)


def _read(line: bytes) -> Entry:
    mode, kind, digest, size, written = line.split()
    named = None if digest == b"-" else f"sha256:{digest.decode()}"
    return unescape(written), Side(f"{mode.decode()} {kind.decode()}", named, int(size))
