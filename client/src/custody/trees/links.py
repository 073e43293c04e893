"""Where the links of a tree lead: within it, or out of it."""

from __future__ import annotations

from collections.abc import Mapping

from custody.trees.errors import UnsafeTreeError

# As many as a kernel follows before it gives up.
_MAX_HOPS = 40
_MAX_STEPS = 1_000_000_000


class Links:
    """The links of one tree by path; says which of them lead out of it.

    A target is followed as a kernel would: through other links, where `..` means the
    directory that was really reached. What does not exist is taken for a directory,
    because somebody may make one.
    """

    def __init__(self, targets: Mapping[bytes, bytes]) -> None:
        self._targets = targets
        self._steps = 0

    def outward(self) -> list[bytes]:
        """Return the paths of the links that lead out of the tree, in order.

        Raises:
            UnsafeTreeError: The links refer to each other so often that it cannot be told.
        """
        return [path for path in sorted(self._targets) if self._leads_out(path)]

    def _leads_out(self, path: bytes) -> bool:
        folder = path.rpartition(b"/")[0]
        reached = folder.split(b"/") if folder else []
        waiting = [self._targets[path]]
        hops = 1
        while waiting and hops <= _MAX_HOPS:
            target = waiting.pop()
            self._count(len(target))
            head, _, rest = target.partition(b"/")
            if target.startswith(b"/") or (head == b".." and not reached):
                return True
            if rest.strip(b"/"):
                waiting.append(rest.lstrip(b"/"))
            further = self._enter(head, reached)
            if further is not None:
                waiting.append(further)
                hops += 1
        # A circle, which a kernel gives up on. What would lead upwards after it is counted as
        # leading out, since not everybody who follows links is a kernel.
        return any(b".." in target.split(b"/") for target in waiting)

    def _enter(self, part: bytes, reached: list[bytes]) -> bytes | None:
        """Go one part further; return the target of the link that is there, if one is."""
        if part == b"..":
            reached.pop()
        elif part not in (b"", b"."):
            reached.append(part)
            further = self._targets.get(b"/".join(reached))
            if further is not None:
                reached.pop()
            return further
        return None

    def _count(self, cost: int) -> None:
        self._steps += 16 + cost
        if self._steps > _MAX_STEPS:
            raise UnsafeTreeError("the links of this tree are too tangled to be checked")
