"""A directory as a manifest: everything in it, exactly, or a complaint.

Files, links (never followed), executables and empty directories are captured. What a
tree cannot hold (sockets, devices, pipes) and what nobody should publish by accident
(version control folders, secrets) is refused, unless it was asked to be left out.
"""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from custody.capture.defaults import REPOSITORIES, SECRETS
from custody.capture.identity import Identity
from custody.capture.ignore import Rules, quick_test
from custody.capture.scan import Leaving
from custody.capture.statcache import StatCache
from custody.errors import ContentError
from custody.trees.errors import UnsafeTreeError
from custody.trees.files import Files, Seen, unreadable
from custody.trees.folders import MAX_DEPTH
from custody.trees.manifest import EXECUTABLE, FILE, FOLDER, LINK, MAX_ENTRIES, MAX_TARGET, Manifest, build

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What a manifest of a million entries takes leaves no room for contents.
_MANY = 100_000
_NOTHING = bytes(32)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Exactly:
    """Leaves nothing out, and remembers what looks as if it should not be published."""

    allow_secrets: bool = False
    suspicious: list[str] = field(default_factory=list)
    _rules: Rules = field(default_factory=lambda: Rules.parse([*REPOSITORIES, *SECRETS], fold_case=True))

    @property
    def may_match(self) -> Callable[[str], bool]:
        """A quick test of a name that never misses."""
        return (lambda _name: False) if self.allow_secrets else quick_test(self._rules.rules)

    def ignored(self, path: str, is_directory: bool, /) -> bool:
        """Leave `path` in; but note it if it looks like a secret. What lies below that needs no look."""
        if self._rules.decide(path, is_directory=is_directory):
            self.suspicious.append(f"{path}/" if is_directory else path)
            return True
        return False

    def require_none(self) -> None:
        """Raise if something was noted.

        Raises:
            UnsafeTreeError: Something was.
        """
        if self.suspicious:
            raise UnsafeTreeError(
                f"looks like secrets or version control: {_some(self.suspicious)}",
                hint="--ignore leaves such files out, --allow-secrets stores them",
            )


@dataclass(frozen=True, slots=True)
class Captured:
    """A directory and what was in it.

    `dropped` are the files whose setuid or setgid bit is not kept, `identities` what the
    stat cache needs to keep of the first files, `contents` small contents that were asked
    for, by their digest: the very bytes that were hashed.
    """

    root: str
    manifest: Manifest
    dropped: tuple[str, ...]
    ignored: int
    hashed: int
    identities: tuple[Identity, ...]
    contents: dict[bytes, bytes]


def capture(
    root: str | os.PathLike[str],
    *,
    leaving: Leaving,
    cache: StatCache | None = None,
    seen: Seen | None = None,
    retain: int = 0,
) -> Captured:
    """Capture the directory `root`.

    Args:
        root: The directory; may itself be a link.
        leaving: What is left out.
        cache: Digests known from before; used and added to, saved by the caller.
        seen: Told the bytes of each file that was hashed.
        retain: Bytes of small contents to keep, for who sends them right afterwards.

    Raises:
        UnsafeTreeError: It holds something that a tree cannot.
        ChangedError: A file kept changing.
        ContentError: Something cannot be read.
    """
    top = os.path.abspath(root)
    files = Files(top, cache, seen, retain)
    walk = _Walk(leaving, files)
    try:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ContentError(f"{top}: {error.strerror}") from error
    try:
        walk.into(descriptor, b"", 0)
    finally:
        os.close(descriptor)
    walk.require_whole()
    manifest = walk.manifest()
    dropped, identities = tuple(walk.dropped), tuple(files.identities)
    return Captured(top, manifest, dropped, walk.ignored, files.hashed, identities, files.contents)


class _Walk:
    """The state of one capture, in the columns of a manifest and in its order."""

    def __init__(self, leaving: Leaving, files: Files) -> None:
        self._kinds = bytearray()
        self._sizes = array("Q")
        self._digests = bytearray()
        self._paths: list[bytes] = []
        self.dropped: list[str] = []
        self.ignored = 0
        self._refused: list[str] = []
        self._leaving, self._may_match = leaving, leaving.may_match
        self._files = files

    def into(self, descriptor: int, prefix: bytes, depth: int) -> None:
        """Take in the open directory `descriptor`, whose path ends with a slash, or is empty."""
        before = len(self._paths) + len(self._refused) + self.ignored
        names = self._names(descriptor, prefix)
        while names:
            name = names.pop()
            if name.endswith(b"/"):
                self._below(descriptor, name, prefix, depth)
            else:
                self._take(descriptor, name, prefix + name)
        if prefix and len(self._paths) + len(self._refused) + self.ignored == before:
            self._add(FOLDER, 0, _NOTHING, prefix[:-1])

    def require_whole(self) -> None:
        """Raise if anything could not be captured.

        Raises:
            UnsafeTreeError: Something could not.
        """
        if self._refused:
            raise UnsafeTreeError(
                f"a tree holds files, links and directories only, not {_some(self._refused)}",
                hint="remove it, or leave it out with .custodyignore and --ignore",
            )

    def manifest(self) -> Manifest:
        """Return what was found."""
        digests = bytes(self._digests)
        self._digests.clear()
        return build(bytes(self._kinds), self._sizes, digests, self._paths)

    def _names(self, descriptor: int, prefix: bytes) -> list[bytes]:
        """Return the names in a directory that are not left out, the first of a manifest last.

        A directory sorts as if its name ended with a slash, because its entries' paths go on
        with one. Names alone are held: a directory may have a million entries.
        """
        found: list[bytes] = []
        may_match, ignored, above = self._may_match, self._leaving.ignored, os.fsdecode(prefix)
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                directory = entry.is_dir(follow_symlinks=False)
                if may_match(name) and ignored(above + name, directory):
                    self.ignored += 1
                else:
                    found.append(os.fsencode(f"{name}/" if directory else name))
        found.sort(reverse=True)
        return found

    def _below(self, descriptor: int, name: bytes, prefix: bytes, depth: int) -> None:
        if depth >= MAX_DEPTH:
            above = os.fsdecode(prefix[:200])
            raise UnsafeTreeError(f"directories lie deeper than {MAX_DEPTH} in each other: {above}…")
        try:
            below = os.open(name[:-1], _DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            raise unreadable(prefix + name[:-1], error) from error
        try:
            self.into(below, prefix + name, depth + 1)
        finally:
            os.close(below)

    def _take(self, descriptor: int, name: bytes, path: bytes) -> None:
        """Take in what is no directory."""
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            raise unreadable(path, error) from error
        if stat.S_ISREG(found.st_mode):
            self._file(descriptor, name, path, found)
        elif stat.S_ISLNK(found.st_mode):
            self._link(descriptor, name, path)
        else:
            self._refused.append(f"{os.fsdecode(path)} ({_kind(found.st_mode)})")

    def _link(self, descriptor: int, name: bytes, path: bytes) -> None:
        try:
            target = os.readlink(name, dir_fd=descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        if not 0 < len(target) <= MAX_TARGET:
            raise UnsafeTreeError(f"{os.fsdecode(path)}: leads to a name that is too long")
        self._add(LINK, len(target), hashlib.sha256(target).digest(), path)

    def _file(self, descriptor: int, name: bytes, path: bytes, found: os.stat_result) -> None:
        size, raw = self._files.digest(descriptor, name, path, found)
        if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
            self.dropped.append(os.fsdecode(path))
        self._add(EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE, size, raw, path)

    def _add(self, kind: int, size: int, raw: bytes, path: bytes) -> None:
        if len(self._paths) >= MAX_ENTRIES:
            raise UnsafeTreeError(f"a tree may have {MAX_ENTRIES} entries", hint="put its parts one by one")
        self._kinds.append(kind)
        self._sizes.append(size)
        self._digests += raw
        self._paths.append(path)
        if len(self._paths) == _MANY:
            self._files.retain_none()


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory only now"
    if stat.S_ISSOCK(mode):
        return "socket"
    return "fifo" if stat.S_ISFIFO(mode) else "device"


def _some(paths: list[str]) -> str:
    rest = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
