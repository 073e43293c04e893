"""Declared inputs: files and folders by what they hold, references by what they say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from custody.capture.ignore import Ignore
from custody.capture.scan import scan
from custody.contents import HashedFile, hashed
from custody.errors import ContentError, MisuseError
from custody.output_names import printable_name
from custody.references import looks_like_reference, parse

MAX_INPUTS = 10_000
"""Inputs of one step."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """One input, and the file it was read from if it is one."""

    name: str
    descriptor: dict[str, object]
    file: HashedFile | None = None

    def changed(self) -> bool:
        """Whether the file is no longer as it was when it was hashed."""
        return self.file is not None and self.file.changed()


def consumed(written: Sequence[str], *, root: str, ignore: Ignore) -> Iterator[Consumed]:
    """Yield the inputs that `--input` options name.

    A folder stands for the files in it that are not ignored; a file is taken
    even if it is ignored, because somebody named it.

    Raises:
        MisuseError: A reference has no digest, or a folder holds too many files.
        ContentError: A file is missing or cannot be read.
    """
    count = 0
    for one in written:
        for found in _consumed(one, root, ignore):
            count += 1
            if count > MAX_INPUTS:
                raise MisuseError(f"more than {MAX_INPUTS} inputs", hint="name files, or smaller folders")
            yield found


def merged(
    declared: Sequence[dict[str, object]], changes: Sequence[dict[str, object]]
) -> list[dict[str, object]]:
    """Return all inputs; a declared file that differs from the commit is one input and says both."""
    states = {_key(one): one["annotations"] for one in changes if "annotations" in one}
    both = {_key(one) for one in declared}
    found = [one | ({"annotations": states[_key(one)]} if _key(one) in states else {}) for one in declared]
    return found + [one for one in changes if _key(one) not in both]


def _key(one: dict[str, object]) -> str:
    """Tell inputs apart by last name and digest: one name is below the repository, the other below here."""
    return f"{str(one.get('name', '')).rpartition('/')[2]} {one.get('digest')}"


def _consumed(written: str, root: str, ignore: Ignore) -> Iterator[Consumed]:
    path = os.path.join(root, written)  # noqa: PTH118 - stays text for the whole way
    if looks_like_reference(written):
        yield Consumed(written, parse(written).descriptor())
    elif os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114 - as above
        yield from _folder(path, root, ignore)
    else:
        yield file_input(path, root)


def file_input(path: str, root: str) -> Consumed:
    """Return the file `path` as an input of a step in `root`.

    Raises:
        ContentError: It is missing or cannot be read.
    """
    name = os.path.relpath(path, root)
    try:
        file = hashed(path)
    except ContentError as error:
        raise ContentError(f"--input {error.message.removeprefix(f'{root}/')}", hint=error.hint) from error
    shown = printable_name(name)
    return Consumed(shown, {"name": shown, "digest": {"sha256": file.sha256}}, file)


def _folder(path: str, root: str, ignore: Ignore) -> Iterator[Consumed]:
    found = scan(path, ignore).files
    if not found:
        raise ContentError(f"--input {path}: holds no file that is not ignored")
    for name in sorted(found):
        yield file_input(f"{path.rstrip('/')}/{name}", root)
