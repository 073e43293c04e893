"""Listing the files below a directory, as fast as the file system tells them.

Links are never followed: each directory is opened through the descriptor of its
parent, so exchanging a directory for a link while the scan runs leads nowhere.
"""

import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from custody.capture.identity import Identity, identity_of, pack_identity

# One descriptor and one Python frame are held per level.
MAX_DEPTH = 200

AT_ONCE = 1 << 15
"""Files that are handed on together, at most."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


class Leaving(Protocol):
    """Decides what a scan leaves out."""

    @property
    def may_match(self) -> Callable[[str], bool]:
        """A quick test of a name alone; where it says no, `ignored` need not be asked."""

    def ignored(self, path: str, is_directory: bool, /) -> bool:
        """Whether `path` is left out, given that the directories above it are not."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A name that was seen and not captured.

    `kind` is symlink, fifo, socket, device, unreadable, too-deep or other.
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Scan:
    """The regular files below `root`, by name relative to it, and what else was there."""

    root: str
    files: dict[str, Identity]
    skipped: tuple[Skipped, ...]
    ignored: int


Take = Callable[[str, dict[str, Identity]], None]
"""Takes in some files by name: all are below a directory, which is empty or ends with a slash."""


def scan(root: str | os.PathLike[str], ignore: Leaving) -> Scan:
    """List every regular file below `root` that `ignore` leaves in.

    What disappears meanwhile is not listed; what cannot be read is listed as
    skipped and does not end the scan.

    Raises:
        OSError: `root` itself cannot be opened as a directory.
    """
    files: dict[str, Identity] = {}

    def take(folder: str, found: dict[str, Identity]) -> None:
        files.update(zip(map(folder.__add__, found), found.values(), strict=True))

    top = os.path.abspath(root)
    skipped, ignored = walk(top, ignore, take)
    return Scan(top, files, skipped, ignored)


def walk(top: str, ignore: Leaving, take: Take) -> tuple[tuple[Skipped, ...], int]:
    """Hand on what `scan` lists, some files at a time; return what was skipped, and how much ignored.

    The first files come together and below the root, which is all there is to a tree of usual size;
    then come those of one directory after the other, so that two walks hand on much the same.

    Raises:
        OSError: `top` cannot be opened as a directory.
    """
    state = _Walk(ignore, take)
    descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        state.into(descriptor, "", 0)
    finally:
        os.close(descriptor)
    state.hand_on()
    return tuple(state.skipped), state.ignored


@dataclass(slots=True)
class _Walk:
    """The state of one scan; `files` are those not handed on yet, all below `folder`."""

    ignore: Leaving
    take: Take
    folder: str = ""
    files: dict[str, Identity] = field(default_factory=dict)
    many: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    ignored: int = 0

    def into(self, descriptor: int, prefix: str, depth: int) -> None:
        """List the open directory `descriptor`, then those below it."""
        if self.many:
            self.hand_on(prefix)
        for name in self._entries(descriptor, prefix):
            path = prefix + name
            if depth >= MAX_DEPTH:
                self.skipped.append(Skipped(path, "too-deep"))
                continue
            try:
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
            except OSError as error:
                self._miss(path, error)
                continue
            try:
                self.into(below, path + "/", depth + 1)
            except OSError as error:
                self._miss(path, error)
            finally:
                os.close(below)

    def hand_on(self, folder: str = "") -> None:
        """Hand on what was found; what comes next lies below `folder`."""
        if self.files:
            self.take(self.folder, self.files)
        self.folder, self.files = folder, {}

    def _entries(self, descriptor: int, prefix: str) -> list[str]:
        """Take in the files of one directory and return the names of its directories.

        Nothing here may cost more than the system call beside it, hence the local names.
        """
        may_match, ignored = self.ignore.may_match, self.ignore.ignored
        pack, most, files = pack_identity, AT_ONCE, self.files
        lead, directories = "" if self.many else prefix, list[str]()
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                if may_match(name) and ignored(prefix + name, entry.is_dir(follow_symlinks=False)):
                    self.ignored += 1
                elif entry.is_file(follow_symlinks=False):
                    try:
                        at = entry.stat(follow_symlinks=False)
                        # As `identity_of` does, without the call.
                        files[lead + name] = pack(at[2], at[1], at[6], at.st_mtime_ns, at.st_ctime_ns, at[0])
                    except struct.error:
                        files[lead + name] = identity_of(at)
                    except OSError as error:
                        self._miss(prefix + name, error)
                    if len(files) >= most:
                        self.hand_on(prefix)
                        self.many, lead, files = True, "", self.files
                elif entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                else:
                    self._skip(entry, prefix + name)
        return directories

    def _miss(self, path: str, error: OSError) -> None:
        """List what could not be read; what is gone meanwhile is simply not there."""
        if not isinstance(error, FileNotFoundError):
            self.skipped.append(Skipped(path, "unreadable"))

    def _skip(self, entry: "os.DirEntry[str]", path: str) -> None:
        try:
            mode = entry.stat(follow_symlinks=False).st_mode
        except OSError:
            return
        kind = next((kind for test, kind in _KINDS if test(mode)), "other")
        self.skipped.append(Skipped(path, kind))
