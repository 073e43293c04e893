"""How far the scrub of a worker has come, in a small file: it goes on there when it starts again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_NAMES: Final = ("objects", "bytes", "damaged", "healed", "rounds")


@dataclass(slots=True)
class Position:
    """Everything up to the key `after` was looked at in this round, which began at `began_at`."""

    began_at: int = 0
    after: str = ""
    done: bool = True
    """Whether the round is over."""
    objects: int = 0
    """Looked at since the file was made, in all rounds; likewise what follows."""
    bytes: int = 0
    damaged: int = 0
    healed: int = 0
    rounds: int = 0


def read(path: Path) -> Position:
    """The position in the file, or the very beginning where there is none that can be read."""
    try:
        members = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return Position()
    return _of(members) if isinstance(members, Mapping) else Position()


def _of(members: Mapping[str, object]) -> Position:
    began_at, after, done = (members.get(name) for name in ("began_at", "after", "done"))
    counts = {name: members.get(name) for name in _NAMES}
    if not (isinstance(began_at, int) and isinstance(after, str) and isinstance(done, bool)):
        return Position()
    kept = {name: value for name, value in counts.items() if isinstance(value, int)}
    return Position(began_at, after, done, **kept)


def write(path: Path, position: Position) -> None:
    """Put the file in the place of the one before, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(position)))
    draft.replace(path)
