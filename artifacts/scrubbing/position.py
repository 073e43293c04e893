"""How far the scrub of a worker has come, in a small file: it goes on there when it starts again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to the key `after` was looked at in the round that began at `began_at`."""

    began_at: int = 0
    after: str = ""
    done: bool = True
    """Whether the round is over."""


def read(path: Path) -> Position:
    """The position in the file, or the very beginning where there is none that can be read."""
    try:
        members = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return Position()
    match members:
        case {"began_at": int(began_at), "after": str(after), "done": bool(done)}:
            return Position(began_at, after, done)
    return Position()


def write(path: Path, position: Position) -> None:
    """Put the file in the place of the one before, in one step.

    It is not forced to the disk: a position that is lost costs a second look, and nothing else.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(position)))
    draft.replace(path)
