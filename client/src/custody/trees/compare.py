"""What differs between two trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from custody.trees.manifest import FOLDER, MODES, Manifest


@dataclass(frozen=True, slots=True)
class Side:
    """An entry as one of the two trees has it."""

    mode: str
    digest: str | None
    size: int


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


def differences(before: Manifest, after: Manifest) -> Iterator[Difference]:
    """Yield every path where the trees differ, in the order of the paths."""
    one, other = before.paths, after.paths
    left = right = 0
    while left < len(one) or right < len(other):
        if right == len(other) or (left < len(one) and one[left] < other[right]):
            yield Difference(one[left], side(before, left), None)
            left += 1
        elif left == len(one) or other[right] < one[left]:
            yield Difference(other[right], None, side(after, right))
            right += 1
        else:
            found = Difference(one[left], side(before, left), side(after, right))
            if found.before != found.after:
                yield found
            left, right = left + 1, right + 1
