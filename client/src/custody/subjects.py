"""What a command is about: a digest as typed, or the digest of a local file."""

from __future__ import annotations

from pathlib import Path

from custody.contents import hashed
from custody.errors import MisuseError
from custody.references import looks_like_reference, parse, parse_digest


def subject_digest(written: str) -> str:
    """Return the digest that `written` means.

    Raises:
        MisuseError: It looks like a reference and is malformed.
        ContentError: It is a path, and the file cannot be read.
    """
    if looks_like_reference(written):
        found = parse(written) if "@" in written else parse_digest(written)
        return found.digest
    if Path(written).is_dir():
        raise MisuseError(f"{written} is a directory", hint="name a file, or a digest")
    return hashed(written).digest
