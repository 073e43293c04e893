"""The files that somebody named as outputs, by globs."""

import os
import re
from collections.abc import Iterable

from custody.capture.batches import matching
from custody.capture.errors import CaptureError
from custody.capture.globs import path_regex
from custody.capture.outputs import Outputs, Snapshot


class Selection:
    """The globs of `--output`: `*` within a name, `**` across directories.

    A glob is relative to the root. One that matches a directory takes everything in it.
    """

    def __init__(self, globs: Iterable[str], root: str | os.PathLike[str]) -> None:
        """Read the globs.

        Raises:
            CaptureError: One leads out of `root`, or is empty.
        """
        top = os.path.abspath(root)
        self._globs = tuple(globs)
        self._matches = tuple(
            re.compile(f"{path_regex(inside)}|{path_regex(inside + '/**')}", re.DOTALL).fullmatch
            for inside in (_relative(glob, top) for glob in self._globs)
        )

    def wants(self, name: str) -> bool:
        """Whether any glob matches the file `name`."""
        return any(matches(name) for matches in self._matches)

    def select(self, after: Snapshot) -> Outputs:
        """Return the captured files that the globs match.

        Raises:
            CaptureError: A glob matches none; all such globs are listed.
        """
        idle = [
            glob
            for glob, matches in zip(self._globs, self._matches, strict=True)
            if not any(map(matches, after.names()))
        ]
        if idle:
            raise CaptureError(
                f"no file matches --output {', '.join(idle)}",
                hint="a file that .custodyignore or the defaults leave out is not found; quote the glob",
            )
        return self.matched(after)

    def matched(self, after: Snapshot) -> Outputs:
        """Return the captured files that the globs match, be they none."""
        return Outputs(after, ((batch, matching(batch, self.wants)) for batch in after.batches))


def _relative(glob: str, top: str) -> str:
    inside = glob
    if glob.startswith("/"):
        if not glob.startswith(f"{top.rstrip('/')}/"):
            raise CaptureError(f"--output {glob} lies outside the working directory")
        inside = glob[len(top.rstrip("/")) :]
    parts = [part for part in inside.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise CaptureError(f"--output {glob!r} names no file of the working directory")
    return "/".join(parts)
