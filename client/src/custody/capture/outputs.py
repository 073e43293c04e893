"""What a command made: the files whose content is new or different once it has ended.

`snapshot` before, `snapshot` after with the same cache, `changed` between them.
Content decides, not time stamps: a file written again with the same bytes is no
output, and an edit that sets size and mtime back is found by its ctime.
"""

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat

from custody.capture.errors import CaptureError
from custody.capture.globs import path_regex
from custody.capture.hashing import Hashed, hash_file
from custody.capture.identity import Identity, facts_of
from custody.capture.ignore import Ignore
from custody.capture.names import WireName, wire_name
from custody.capture.scan import Scan, Skipped, scan
from custody.capture.statcache import StatCache

# Called with the bytes hashed so far and the bytes to hash in all.
Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that could not be hashed, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Output:
    """One captured file.

    `name` is relative to the root and `path` absolute, both as the system names
    the file. `stable` is false when the file changed while it was hashed. Give
    `identity` to `open_regular` when the bytes are read again.
    """

    name: str
    path: str
    digest: str
    size: int
    stable: bool
    identity: Identity

    @property
    def wire(self) -> WireName:
        """The name as a statement may carry it."""
        return wire_name(self.name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a directory at one time; `hashed` counts the files that the cache did not know."""

    root: str
    files: dict[str, Identity]
    digests: dict[str, bytes]
    unstable: frozenset[str]
    unread: tuple[Unread, ...]
    skipped: tuple[Skipped, ...]
    hashed: int

    def output(self, name: str) -> Output:
        """Return the captured file `name`.

        Raises:
            KeyError: It was not captured.
        """
        raw, identity = self.digests[name], self.files[name]
        size = facts_of(identity).size
        stable = name not in self.unstable
        return Output(name, f"{self.root}/{name}", f"sha256:{raw.hex()}", size, stable, identity)


def snapshot(
    root: str | os.PathLike[str],
    *,
    ignore: Ignore,
    cache: StatCache,
    only: Callable[[str], bool] | None = None,
    progress: Advance | None = None,
) -> Snapshot:
    """Capture the content of every file below `root` that is not left out.

    Files that the cache knows are not opened. The others are hashed, and remembered
    where that is safe; a file too young to be remembered is hashed again next time.

    Args:
        root: The directory.
        ignore: What is left out.
        cache: Used and added to; the caller loads and saves it.
        only: Hash no other names than those it says yes to.
        progress: Told how far the hashing is.

    Raises:
        OSError: `root` cannot be opened as a directory.
    """
    found = scan(root, ignore)
    files = found.files if only is None else {name: at for name, at in found.files.items() if only(name)}
    # Whole dictionaries at C speed: ten thousand look-ups are the price of a warm capture.
    digests = dict(zip(files, map(cache.entries.get, files.values(), repeat(b"")), strict=True))
    missing = [name for name, raw in digests.items() if not raw]
    for name in missing:
        del digests[name]
    rest = _Missing(found, missing, cache, progress)
    rest.hash()
    for name, hashed in rest.done.items():
        files[name] = hashed.identity
        digests[name] = hashed.raw
    unstable = frozenset(name for name, hashed in rest.done.items() if not hashed.stable)
    return Snapshot(found.root, files, digests, unstable, tuple(rest.unread), found.skipped, len(missing))


def changed(before: Snapshot, after: Snapshot) -> tuple[Output, ...]:
    """Return the files of `after` that `before` had not or had with other content, by name."""
    was = before.digests.get
    names = [name for name, raw in after.digests.items() if was(name) != raw]
    return tuple(after.output(name) for name in sorted(names))


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

    def select(self, after: Snapshot) -> tuple[Output, ...]:
        """Return the captured files that the globs match, by name.

        Raises:
            CaptureError: A glob matches none; all such globs are listed.
        """
        names = sorted(after.digests)
        idle = [
            glob
            for glob, matches in zip(self._globs, self._matches, strict=True)
            if not any(map(matches, names))
        ]
        if idle:
            raise CaptureError(
                f"no file matches --output {', '.join(idle)}",
                hint="a file that .custodyignore or the defaults leave out is not found; quote the glob",
            )
        return tuple(after.output(name) for name in names if self.wants(name))


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


class _Missing:
    """Hashes the files that the cache does not know."""

    def __init__(self, found: Scan, names: list[str], cache: StatCache, progress: Advance | None) -> None:
        self._found, self._names, self._cache = found, names, cache
        self._progress = progress
        self._total = sum(facts_of(found.files[name]).size for name in names) if progress else 0
        self._read = 0
        self.done: dict[str, Hashed] = {}
        self.unread: list[Unread] = []

    def hash(self) -> None:
        """Hash them one after the other; the clock is read once, before the first."""
        if not self._names:
            return
        root, files, remember = self._found.root, self._found.files, self._cache.remember
        count = self._count if self._progress else None
        tick = self._cache.tick(root)
        for name in self._names:
            try:
                hashed = hash_file(f"{root}/{name}", expected=files[name], progress=count)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.unread.append(Unread(name, error.strerror or str(error)))
            else:
                self.done[name] = hashed
                remember(hashed, tick)

    def _count(self, count: int) -> None:
        self._read += count
        if self._progress is not None:
            self._progress(self._read, max(self._total, self._read))
