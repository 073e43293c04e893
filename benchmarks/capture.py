"""P6: what it costs to see that nothing changed, beside merely asking for every file's status."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks import trees
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_most
from benchmarks.rounds import Scale, interleaved, timed
from custody.capture.ignore import Ignore
from custody.capture.outputs import snapshot
from custody.capture.statcache import StatCache

# Digests of files younger than the clock's margin are not remembered.
_SETTLE = 0.1


def measure(scale: Scale) -> list[Result]:
    """Capture an unchanged tree, loading the stat cache each time."""
    top = Path(tempfile.mkdtemp(prefix="capture-", dir=scale.directory))
    try:
        root = top / "tree"
        trees.build(root, files=scale.files, folders=scale.folders)
        time.sleep(_SETTLE)
        kept = str(top / "cache" / "statcache" / "of-tree")
        _fill(root, kept)
        ours, peer = interleaved(
            lambda: timed(lambda: _capture(root, kept)),
            lambda: timed(lambda: _walk(str(root))),
            rounds=scale.rounds * 2,
            factor=1000,
        )
        place = file_system(root)
    finally:
        shutil.rmtree(top)
    return [
        Result(
            name="P6",
            work=f"capture of an unchanged tree, {scale.files:,} files in {scale.folders:,} directories",
            ours=Measured("snapshot, stat cache read anew", ours, "ms"),
            peer=Measured("os.scandir + stat", peer, "ms"),
            place=place,
            bars=[at_most(1.5)],
        )
    ]


def _fill(root: Path, kept: str) -> None:
    cache = StatCache.load(kept)
    found = snapshot(root, ignore=Ignore.load(root), cache=cache)
    if not cache.save(found.identities()):
        raise RuntimeError("the stat cache was not kept")


def _capture(root: Path, kept: str) -> None:
    found = snapshot(root, ignore=Ignore.load(root), cache=StatCache.load(kept))
    if found.hashed or not len(found):
        raise RuntimeError(f"{found.hashed} files were hashed again")


def _walk(directory: str) -> int:
    count = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += _walk(entry.path)
            else:
                entry.stat(follow_symlinks=False)
                count += 1
    return count
