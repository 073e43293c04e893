"""A directory of small files made ready to be sent, beside an archive of it, plain and compressed."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

import zstandard

from benchmarks import history
from benchmarks.places import file_system
from benchmarks.results import Measured, Result, at_most
from benchmarks.rounds import Scale, in_turns, timed
from custody.trees.capture import Exactly, capture
from custody.trees.keeping import RETAINED
from custody.trees.packing import is_small, pack

_LEVEL = 3


def measure(scale: Scale) -> list[Result]:
    """Pack the same files in three ways; only ours hashes them, once."""
    top = Path(tempfile.mkdtemp(prefix="packing-", dir=scale.directory))
    try:
        root = top / "files"
        history.write(root, history.Shape(scale.files, scale.folders, commits=1))
        sizes: dict[str, int] = {}
        ours, plain, packed = in_turns(
            [
                lambda: timed(lambda: sizes.update(ours=_ours(root, top))),
                lambda: timed(lambda: sizes.update(plain=_plain_archive(root, top))),
                lambda: timed(lambda: sizes.update(packed=_archive(root, top))),
            ],
            rounds=min(scale.rounds, 3),
            factor=1000,
        )
        place = file_system(root)
    finally:
        shutil.rmtree(top)
    mine = Measured("capture and pack, no stat cache", ours, "ms")
    work = f"pack {scale.files:,} files in {scale.folders:,} directories"
    return [
        Result(
            "packing",
            work,
            mine,
            Measured("tarfile, not compressed", plain, "ms"),
            place,
            [at_most(1 / 5)],
            [
                f"ours hashes every file and makes {sizes['ours'] / 1e6:.1f} MB in frames of 256 KiB, "
                f"the peer hashes none and makes {sizes['plain'] / 1e6:.1f} MB"
            ],
        ),
        Result(
            "packing",
            work,
            mine,
            Measured(f"tarfile and zstandard, level {_LEVEL}", packed, "ms"),
            place,
            [at_most(1 / 5)],
            [f"the peer hashes none and makes {sizes['packed'] / 1e6:.1f} MB in one stream"],
        ),
    ]


def _ours(root: Path, top: Path) -> int:
    spool = Path(tempfile.mkdtemp(prefix="spool-", dir=top))
    found = capture(root, leaving=Exactly(), retain=RETAINED)
    manifest = found.manifest
    small = [entry for entry in range(len(manifest)) if is_small(manifest, entry)]
    return sum(made.size for made in pack(str(root), manifest, small, str(spool), contents=found.contents))


def _plain_archive(root: Path, top: Path) -> int:
    spool = Path(tempfile.mkdtemp(prefix="archive-", dir=top)) / "all.tar"
    with tarfile.open(spool, "x") as archive:
        archive.add(root, arcname=".")
    return spool.stat().st_size


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
