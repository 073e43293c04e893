"""Which stretches of packs this machine's store holds, and the frames that lie in them.

An entry `frames/<pack>/<offset>-<length>` holds that stretch of a pack. Nobody has to
believe it: whoever takes a frame out of it hashes what is in the frame.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from custody.nodestore.store import NodeStore
from custody.trees.layout import MAX_PACK, Frame

_NAME = re.compile(r"(0|[1-9][0-9]{0,11})-([1-9][0-9]{0,11})")
_MAX_NAMES = 100_000

Stretch = tuple[int, int]
"""Where a stretch of a pack begins and ends."""


class KeptFrames:
    """The stretches of one pack that are kept; looked up once, when it is made."""

    def __init__(self, store: NodeStore, pack: str) -> None:
        self._store = store
        self._pack = pack
        self._stretches = _longest(store.names(f"frames/{pack}", limit=_MAX_NAMES))
        self._starts = [start for start, _ in self._stretches]

    def holds(self, frame: Frame) -> bool:
        """Whether `frame` lies in what is kept."""
        return self._around(frame) is not None

    def read(self, frames: Sequence[Frame]) -> Iterator[tuple[Frame, memoryview | None]]:
        """Yield each of `frames`, in the order of their offsets, with its bytes if they are kept.

        Frames of one stretch are read at once, so they should lie close together.
        """
        ordered = sorted(frames, key=lambda one: one.offset)
        for stretch, group in groupby(ordered, self._around):
            members = list(group)
            if stretch is None:
                yield from ((frame, None) for frame in members)
            else:
                yield from self._read(stretch, members)

    def drop(self, frame: Frame) -> None:
        """Forget the stretch in which `frame` lies: it was wrong."""
        stretch = self._around(frame)
        if stretch is not None:
            self._store.drop(_key(self._pack, *stretch))

    def _read(self, stretch: Stretch, frames: list[Frame]) -> Iterator[tuple[Frame, memoryview | None]]:
        first, last = frames[0].offset, max(frame.offset + frame.length for frame in frames)
        key = _key(self._pack, *stretch)
        found = memoryview(self._store.read_part(key, first - stretch[0], last - first) or b"")
        for frame in frames:
            at = frame.offset - first
            piece = found[at : at + frame.length]
            yield frame, piece if len(piece) == frame.length else None

    def _around(self, frame: Frame) -> Stretch | None:
        """Return the stretch that `frame` lies in: if any does, then the last that begins before it."""
        at = bisect_right(self._starts, frame.offset) - 1
        if at < 0 or self._stretches[at][1] < frame.offset + frame.length:
            return None
        return self._stretches[at]


def keep(store: NodeStore, pack: str, received: Sequence[tuple[int, bytes]]) -> None:
    """Keep pieces of `pack`, each with its offset, in order: what is joined there becomes one entry."""
    for stretch in _joined(received):
        content = b"".join(piece for _, piece in stretch)
        start = stretch[0][0]
        store.keep(_key(pack, start, start + len(content)), content)


def _joined(pieces: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    found: list[tuple[int, bytes]] = []
    for at, piece in pieces:
        if found and at != found[-1][0] + len(found[-1][1]):
            yield found
            found = []
        found.append((at, piece))
    if found:
        yield found


def _longest(names: Iterable[str]) -> list[Stretch]:
    """Return the stretches called `names` without those that lie in others, in order."""
    known: list[Stretch] = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and int(match[1]) + int(match[2]) <= MAX_PACK:
            known.append((int(match[1]), int(match[1]) + int(match[2])))
    found: list[Stretch] = []
    for start, end in sorted(known, key=lambda one: (one[0], -one[1])):
        if not found or end > found[-1][1]:
            found.append((start, end))
    return found


def _key(pack: str, start: int, end: int) -> str:
    return f"frames/{pack}/{start}-{end - start}"
