"""A tree, written into a new directory that gets its name only when all of it is right.

1. The manifest must hash to the digest that was asked for.
2. Everything goes into a private directory (0700) beside the target, through
   descriptors of directories made there, each file created new.
3. Every file is hashed against the manifest before it is written.
4. Links come last and none is followed; one that leads out is refused.
5. The directory is renamed; until then, and whatever goes wrong, there is no target.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeAlias

from custody.progress import Advance
from custody.trees.crew import Crew, size
from custody.trees.folders import Folders
from custody.trees.forks import forkable, processors, side_by_side
from custody.trees.git_names import check_git_names
from custody.trees.layout import Frame, Layout
from custody.trees.manifest import Manifest
from custody.trees.names import check_apart, folds
from custody.trees.places import private_place
from custody.trees.source import Source
from custody.trees.supply import WINDOW, Supply
from custody.trees.writing import Writer

_MANY, _MUCH = 1_000, 16 << 20
"""Files, or bytes, from which on a second process gains more than its start costs."""

_Share: TypeAlias = tuple[list[tuple[bytes, bytes]], int]
"""What a process leaves to the first one: the links it found, and how much it added to the store."""

_ALONE = 256 << 10
"""The piece of a pack that is one job where nothing has to be asked for."""


class Options(NamedTuple):
    """How a tree is restored."""

    replace: bool = False
    allow_outward_links: bool = False
    allow_git_names: bool = False


def restore(
    source: Source, manifest: Manifest, target: str, options: Options, *, advance: Advance | None = None
) -> None:
    """Write the tree of `manifest` to the new directory `target`.

    Raises:
        ContentError: The target exists, the tree cannot be written here, or bytes are wrong.
        ServiceError: The service does not have or give the bytes.
    """
    if not options.allow_git_names:
        check_git_names(manifest.paths)
    layout = source.layout(manifest)
    with private_place(target, replace=options.replace) as root:  # (2), (5)
        folder_paths = manifest.folders()
        if folds(root):
            check_apart([*folder_paths, *manifest.paths])
        folders = Folders(root, folder_paths)
        try:
            writer = Writer(manifest, folders)
            _write(source, writer, layout, Progress(manifest.size, advance))  # (3)
            writer.make_links(allow_outward=options.allow_outward_links)  # (4)
        finally:
            folders.close()


def _write(source: Source, writer: Writer, layout: Layout, progress: Progress) -> None:
    """Write all files, in as many processes as are worth their while."""
    jobs = list(_jobs(writer, layout, progress, _ALONE if source.complete else WINDOW))
    processes = _processes(writer.manifest, len(jobs))
    threads = 1 if source.complete else -(-size(len(jobs)) // processes)
    crew: Crew[Supply] = Crew(source.supply, Supply.close, jobs)

    def share(number: int) -> _Share:
        progress.number = number
        before = source.added
        crew.work(threads)
        return list(writer.targets.items()), source.added - before

    def absorb(share: _Share) -> None:
        targets, added = share
        writer.targets.update(targets)
        source.added += added

    try:
        side_by_side(share, absorb, processes)
    finally:
        crew.close()


def _processes(manifest: Manifest, jobs: int) -> int:
    if len(manifest) < _MANY and manifest.size < _MUCH:
        return 1
    return min(processors(), jobs) if forkable() else 1


def _jobs(
    writer: Writer, layout: Layout, progress: Progress, window: int
) -> Iterator[Callable[[Supply], None]]:
    """Yield the work in pieces, large files first: they take longest."""
    manifest = writer.manifest
    for entry in sorted(layout.blobs, key=manifest.sizes.__getitem__, reverse=True):
        yield partial(_large, writer, entry, progress)
    windows: dict[tuple[int, int], list[Frame]] = {}
    for frame in layout.frames:
        windows.setdefault((frame.pack, frame.offset // window), []).append(frame)
    for (pack, _), frames in windows.items():
        yield partial(_frames, writer, layout.packs[pack], frames, progress)
    yield lambda _supply: writer.write_empty()


def _large(writer: Writer, entry: int, progress: Progress, supply: Supply) -> None:
    descriptor = writer.create(entry)
    try:
        supply.large(writer.manifest.raw(entry).hex(), writer.manifest.sizes[entry], descriptor)
    finally:
        os.close(descriptor)
    progress.add(writer.manifest.sizes[entry])


def _frames(writer: Writer, pack: str, frames: list[Frame], progress: Progress, supply: Supply) -> None:
    supply.frames(
        pack, frames, lambda frame, packed: progress.add(writer.write_frame(frame, packed, supply.decoder))
    )


class Progress:
    """Counts the bytes that are written, by all processes in memory that they share; the first one shows them."""

    def __init__(self, total: int, advance: Advance | None) -> None:
        self._total, self._advance = total, advance
        self.number = 0
        """Which process this is."""
        if advance is not None:
            import mmap

            self._done = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")

    def add(self, count: int) -> None:
        """Note that so many more are written."""
        if self._advance is not None:
            self._done[self.number] += count
            if self.number == 0:
                self._advance(min(sum(self._done), self._total), self._total)
