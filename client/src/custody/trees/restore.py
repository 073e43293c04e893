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
from dataclasses import dataclass
from functools import partial

from custody.progress import Advance
from custody.trees.crew import Crew
from custody.trees.folders import Folders
from custody.trees.layout import Frame, Layout
from custody.trees.manifest import Manifest
from custody.trees.names import check_apart, folds
from custody.trees.places import private_place
from custody.trees.source import Source
from custody.trees.supply import WINDOW, Supply
from custody.trees.writing import Writer


@dataclass(frozen=True, slots=True)
class Options:
    """How a tree is restored."""

    replace: bool = False
    allow_outward_links: bool = False


def restore(
    source: Source, manifest: Manifest, target: str, options: Options, *, advance: Advance | None = None
) -> None:
    """Write the tree of `manifest` to the new directory `target`.

    Raises:
        ContentError: The target exists, the tree cannot be written here, or bytes are wrong.
        ServiceError: The service does not have or give the bytes.
    """
    layout = source.layout(manifest)
    with private_place(target, replace=options.replace) as root:  # (2), (5)
        folder_paths = manifest.folders()
        if folds(root):
            check_apart([*folder_paths, *manifest.paths])
        folders = Folders(root, folder_paths)
        try:
            writer = Writer(manifest, folders)
            _write(source, writer, layout, _Progress(manifest.size, advance))  # (3)
            writer.make_links(allow_outward=options.allow_outward_links)  # (4)
        finally:
            folders.close()


def _write(source: Source, writer: Writer, layout: Layout, progress: _Progress) -> None:
    crew: Crew[Supply] = Crew(source.supply, Supply.close)
    crew.work(_jobs(writer, layout, progress))


def _jobs(writer: Writer, layout: Layout, progress: _Progress) -> Iterator[Callable[[Supply], None]]:
    """Yield the work in pieces, large files first: they take longest."""
    manifest = writer.manifest
    for entry in sorted(layout.blobs, key=manifest.sizes.__getitem__, reverse=True):
        yield partial(_large, writer, entry, progress)
    windows: dict[tuple[int, int], list[Frame]] = {}
    for frame in layout.frames:
        windows.setdefault((frame.pack, frame.offset // WINDOW), []).append(frame)
    for (pack, _), frames in windows.items():
        yield partial(_frames, writer, layout.packs[pack], frames, progress)
    yield lambda _supply: writer.write_empty()


def _large(writer: Writer, entry: int, progress: _Progress, supply: Supply) -> None:
    descriptor = writer.create(entry)
    try:
        supply.large(writer.manifest.raw(entry).hex(), writer.manifest.sizes[entry], descriptor)
    finally:
        os.close(descriptor)
    progress.add(writer.manifest.sizes[entry])


def _frames(writer: Writer, pack: str, frames: list[Frame], progress: _Progress, supply: Supply) -> None:
    supply.frames(pack, frames, lambda frame, packed: progress.add(writer.write_frame(frame, packed)))


class _Progress:
    """Counts the bytes that are written."""

    def __init__(self, total: int, advance: Advance | None) -> None:
        self._total, self._advance, self._done = total, advance, 0

    def add(self, count: int) -> None:
        """Note that so many more are written."""
        if self._advance is not None:
            self._done += count
            self._advance(min(self._done, self._total), self._total)
