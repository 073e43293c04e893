"""Directories that `--output DIR/` names: each is one output, a tree."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from custody.capture.ignore import Ignore
from custody.errors import ClientError, ContentError, UnreachableError
from custody.output_names import output_name
from custody.products import Kept
from custody.recording import Recording


def names_tree(glob: str) -> bool:
    """Whether an `--output` names one directory as a whole: by a slash at its end, without wildcards."""
    return glob.endswith("/") and not any(one in glob for one in "*?[\\")


def keep_trees(
    paths: Sequence[str], root: str, ignore: Ignore, recording: Recording
) -> tuple[list[Kept], list[ClientError]]:
    """Capture and upload the directories `paths`; return those that were kept, and what was wrong with others.

    Raises:
        UnreachableError: The service went away.
    """
    kept: list[Kept] = []
    trouble: list[ClientError] = []
    for path in paths:
        try:
            kept.append(keep_tree(os.path.join(root, path), root, ignore, recording))  # noqa: PTH118 - stays text
        except UnreachableError:
            raise
        except ClientError as error:
            trouble.append(error)
    return kept, trouble


def keep_tree(path: str, root: str, ignore: Ignore, recording: Recording) -> Kept:
    """Capture and upload one directory of a step that ran in `root`, without what `ignore` leaves out.

    Raises:
        ClientError: It is no directory, cannot be captured, or could not be sent.
    """
    from custody.trees.keeping import RETAINED, captured_by

    if not os.path.isdir(path):  # noqa: PTH112 - stays text
        raise ContentError(f"{path} is no directory", hint="without the slash at its end it names files")
    name = output_name(path, root=root)
    taken = captured_by(_Below(ignore, name), path, os.environ, retain=RETAINED)
    return recording.keep_tree(name, taken)


@dataclass(frozen=True, slots=True)
class _Below:
    """The rules of a working directory, asked about what lies in one of its directories."""

    ignore: Ignore
    folder: str

    @property
    def may_match(self) -> Callable[[str], bool]:
        """A quick test of a name alone."""
        return self.ignore.may_match

    def ignored(self, path: str, is_directory: bool, /) -> bool:
        """Whether `path` below the folder is left out."""
        return self.ignore.ignored(path if self.folder == "." else f"{self.folder}/{path}", is_directory)
