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
from custody.capture.hashing import hash_file
from custody.capture.identity import Identity, identity_of
from custody.capture.ignore import Rules, quick_test
from custody.capture.scan import Leaving
from custody.capture.statcache import StatCache
from custody.errors import ContentError
from custody.trees.errors import ChangedError, UnsafeTreeError
from custody.trees.folders import MAX_DEPTH
from custody.trees.manifest import EXECUTABLE, FILE, FOLDER, LINK, MAX_ENTRIES, MAX_TARGET, Manifest, build

MAX_REMEMBERED = 200_000
"""Digests that the stat cache keeps for one tree; of a larger one it keeps these."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOTHING = bytes(32)
_SHOWN = 5

Seen = Callable[[int], None]


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
    stat cache needs to keep of the first files.
    """

    root: str
    manifest: Manifest
    dropped: tuple[str, ...]
    ignored: int
    hashed: int
    identities: tuple[Identity, ...]


def capture(
    root: str | os.PathLike[str],
    *,
    leaving: Leaving,
    cache: StatCache | None = None,
    seen: Seen | None = None,
) -> Captured:
    """Capture the directory `root`.

    Args:
        root: The directory; may itself be a link.
        leaving: What is left out.
        cache: Digests known from before; used and added to, saved by the caller.
        seen: Told the bytes of each file that was hashed.

    Raises:
        UnsafeTreeError: It holds something that a tree cannot.
        ChangedError: A file kept changing.
        ContentError: Something cannot be read.
    """
    top = os.path.abspath(root)
    walk = _Walk(top, leaving, StatCache() if cache is None else cache, seen)
    try:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ContentError(f"{top}: {error.strerror}") from error
    try:
        walk.into(descriptor, "", 0)
    finally:
        os.close(descriptor)
    walk.require_whole()
    manifest = build(bytes(walk.kinds), walk.sizes, bytes(walk.digests), walk.paths)
    return Captured(top, manifest, tuple(walk.dropped), walk.ignored, walk.hashed, tuple(walk.identities))


class _Walk:
    """The state of one capture, in the columns of a manifest and in its order."""

    def __init__(self, root: str, leaving: Leaving, cache: StatCache, seen: Seen | None) -> None:
        self.kinds = bytearray()
        self.sizes = array("Q")
        self.digests = bytearray()
        self.paths: list[bytes] = []
        self.dropped: list[str] = []
        self.identities: list[Identity] = []
        self.ignored = self.hashed = 0
        self._refused: list[str] = []
        self._root, self._cache, self._seen = root, cache, seen
        self._leaving, self._may_match = leaving, leaving.may_match
        self._tick = cache.tick(root)

    def into(self, descriptor: int, prefix: str, depth: int) -> None:
        """Take in the open directory `descriptor`, whose path ends with a slash, or is empty."""
        before = len(self.paths) + len(self._refused) + self.ignored
        for order, entry in self._entries(descriptor, prefix):
            if order.endswith("/"):
                self._below(descriptor, entry.name, prefix, depth)
            elif entry.is_symlink():
                self._link(descriptor, entry.name, prefix)
            elif entry.is_file(follow_symlinks=False):
                self._file(entry, prefix)
            else:
                self._refused.append(f"{prefix}{entry.name} ({_kind(entry)})")
        if prefix and len(self.paths) + len(self._refused) + self.ignored == before:
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

    def _entries(self, descriptor: int, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
        """Return what is in a directory and not left out, in the order of a manifest.

        A directory sorts as if its name ended with a slash, because its entries' paths go on
        with one.
        """
        found: list[tuple[bytes, str, os.DirEntry[str]]] = []
        may_match, ignored = self._may_match, self._leaving.ignored
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                directory = entry.is_dir(follow_symlinks=False)
                if may_match(name) and ignored(prefix + name, directory):
                    self.ignored += 1
                    continue
                order = f"{name}/" if directory else name
                found.append((os.fsencode(order), order, entry))
        found.sort(key=lambda one: one[0])
        return [(order, entry) for _, order, entry in found]

    def _below(self, descriptor: int, name: str, prefix: str, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise UnsafeTreeError(f"directories lie deeper than {MAX_DEPTH} in each other: {prefix[:200]}…")
        try:
            below = os.open(name, _DIRECTORY, dir_fd=descriptor)
        except OSError as error:
            raise _unreadable(prefix + name, error) from error
        try:
            self.into(below, f"{prefix}{name}/", depth + 1)
        finally:
            os.close(below)

    def _link(self, descriptor: int, name: str, prefix: str) -> None:
        try:
            target = os.fsencode(os.readlink(name, dir_fd=descriptor))
        except OSError as error:
            raise _unreadable(prefix + name, error) from error
        if not 0 < len(target) <= MAX_TARGET:
            raise UnsafeTreeError(f"{prefix}{name}: leads to a name that is too long")
        self._add(LINK, len(target), hashlib.sha256(target).digest(), prefix + name)

    def _file(self, entry: os.DirEntry[str], prefix: str) -> None:
        path = prefix + entry.name
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError as error:
            raise _unreadable(path, error) from error
        identity = identity_of(found)
        size, raw = found.st_size, self._cache.entries.get(identity)
        if raw is None:
            size, raw = self._hash(path, identity)
        if len(self.identities) < MAX_REMEMBERED:
            self.identities.append(identity)
        if found.st_mode & (stat.S_ISUID | stat.S_ISGID):
            self.dropped.append(path)
        self._add(EXECUTABLE if found.st_mode & stat.S_IXUSR else FILE, size, raw, path)

    def _hash(self, path: str, expected: Identity) -> tuple[int, bytes]:
        """Hash one file; one that changes meanwhile gets a second chance."""
        place = f"{self._root}/{path}"
        try:
            hashed = hash_file(place, expected=expected, progress=self._seen)
            if not hashed.stable:
                hashed = hash_file(place, expected=expected)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not hashed.stable:
            raise ChangedError(
                f"{path}: changes while it is read", hint="wait until whatever writes it is done"
            )
        self.hashed += 1
        if len(self._cache.entries) < MAX_REMEMBERED:
            self._cache.remember(hashed, self._tick)
        return hashed.size, hashed.raw

    def _add(self, kind: int, size: int, raw: bytes, path: str) -> None:
        if len(self.paths) >= MAX_ENTRIES:
            raise UnsafeTreeError(f"a tree may have {MAX_ENTRIES} entries", hint="put its parts one by one")
        self.kinds.append(kind)
        self.sizes.append(size)
        self.digests += raw
        self.paths.append(os.fsencode(path))


def _unreadable(path: str, error: OSError) -> ContentError:
    if isinstance(error, FileNotFoundError):
        return ChangedError(f"{path}: disappeared while the directory was captured")
    return ContentError(f"{path}: {error.strerror}")


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:
        return "gone"
    if stat.S_ISSOCK(mode):
        return "socket"
    return "fifo" if stat.S_ISFIFO(mode) else "device"


def _some(paths: list[str]) -> str:
    rest = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
