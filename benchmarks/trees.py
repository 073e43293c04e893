"""A source tree such as large projects have; the same seed gives the same tree."""

from __future__ import annotations

import random
from pathlib import Path

SEED = 20_261_122
_SUFFIXES = (".go", ".py", ".yaml", ".md", ".json", ".proto")


def build(root: Path, *, files: int, folders: int) -> None:
    """Make `files` files of 9 KB on average in `folders` directories below `root`."""
    chance = random.Random(SEED)
    places = [root]
    root.mkdir(parents=True)
    for number in range(folders):
        # Nearer directories have more below them, as in real trees.
        above = places[int(len(places) * chance.random() ** 2)]
        place = above / f"pkg{number:04}" if len(above.relative_to(root).parts) < 8 else root / f"x{number}"
        place.mkdir()
        places.append(place)
    for number in range(files):
        size = min(int(chance.lognormvariate(8.3, 1.2)), 300_000)
        name = f"file{number:05}{chance.choice(_SUFFIXES)}"
        (places[number % len(places)] / name).write_bytes(chance.randbytes(size))
