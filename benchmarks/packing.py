"""A directory of small files made ready to be sent, beside a compressed archive of it."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

import zstandard

from benchmarks import history
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_most
from benchmarks.rounds import Scale, interleaved, timed
from custody.trees.capture import Exactly, capture
from custody.trees.packing import is_small, pack

_LEVEL = 3


def measure(scale: Scale) -> list[Result]:
    """Pack the same files both ways; ours hashes each of them twice, as it always does."""
    top = Path(tempfile.mkdtemp(prefix="packing-", dir=scale.directory))
    try:
        root = top / "files"
        history.write(root, history.Shape(scale.files, scale.folders, commits=1))
        sizes: dict[str, int] = {}
        ours, peer = interleaved(
            lambda: timed(lambda: sizes.update(ours=_ours(root, top))),
            lambda: timed(lambda: sizes.update(peer=_archive(root, top))),
            rounds=min(scale.rounds, 3),
            factor=1000,
        )
        place = file_system(root)
    finally:
        shutil.rmtree(top)
    label = f"tarfile and zstandard, level {_LEVEL}"
    return [
        Result(
            name="packing",
            work=f"pack {scale.files:,} files in {scale.folders:,} directories",
            ours=Measured("capture and pack, no stat cache", ours, "ms"),
            peer=Measured(label, peer, "ms"),
            place=place,
            bars=[at_most(1 / 5)],
            notes=[
                f"ours hashes every file twice and makes {sizes['ours'] / 1e6:.1f} MB in frames of "
                f"256 KiB, the peer hashes none and makes {sizes['peer'] / 1e6:.1f} MB in one stream"
            ],
        )
    ]


def _ours(root: Path, top: Path) -> int:
    spool = Path(tempfile.mkdtemp(prefix="spool-", dir=top))
    manifest = capture(root, leaving=Exactly()).manifest
    small = [entry for entry in range(len(manifest)) if is_small(manifest, entry)]
    return sum(made.size for made in pack(str(root), manifest, small, str(spool)))


def _archive(root: Path, top: Path) -> int:
    spool = Path(tempfile.mkdtemp(prefix="archive-", dir=top)) / "all.tar.zst"
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=-1)
    with (
        spool.open("xb") as kept,
        compressor.stream_writer(kept) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(root, arcname=".")
    return spool.stat().st_size
