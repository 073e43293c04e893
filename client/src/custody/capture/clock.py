"""The clock that decides whether a time stamp of a file can be trusted.

A file changed twice within one tick of its file system's clock may keep its time
stamps, so a digest is remembered only for files whose stamps are older than that
clock by a margin. It must be the file system's own clock: that of a file server,
or of a kernel with a coarse tick, is not the one `time.time` reads.
"""

import errno
import os
import re
from dataclasses import dataclass
from typing import Protocol

LOCAL_MARGIN = 20_000_000
NETWORK_MARGIN = 2_000_000_000

_MOUNTS = "/proc/self/mounts"
# Every "fuse" type counts as well: nobody knows what keeps time behind it.
_NETWORK_TYPES = re.compile(
    "fuse.*|9p|afs|beegfs|ceph|cifs|coda|davfs|gfs2?|glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|orangefs|pvfs2"
    "|smb3|smbfs|vboxsf|virtiofs|vmhgfs"
)


@dataclass(frozen=True, slots=True)
class Tick:
    """One reading: of which device, when by its own clock, and the margin to keep from it."""

    device: int
    at: int
    margin: int

    def settled(self, device: int, modified_at: int, changed_at: int) -> bool:
        """Whether both times of a file lie safely before this reading."""
        return device == self.device and max(modified_at, changed_at) < self.at - self.margin


class FileSystemClock(Protocol):
    """Reads the clock of the file system that holds a directory."""

    def read(self, directory: str) -> Tick | None:
        """Return the time now, or None when it cannot be known; then nothing is remembered."""


class TouchClock:
    """Reads the clock off a file made for the purpose, nameless where the system has such files."""

    def read(self, directory: str) -> Tick | None:
        """Make a file in `directory`, take the time it was given, and let it vanish."""
        try:
            made = _touch(directory)
        except OSError:
            return None
        margin = NETWORK_MARGIN if is_network(directory) else LOCAL_MARGIN
        return Tick(made.st_dev, made.st_ctime_ns, margin)


def is_network(directory: str, mounts: str = _MOUNTS) -> bool:
    """Whether `directory` lies on a network file system; true where that cannot be known."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().split("\n")
    except OSError:
        return True
    path = os.path.realpath(directory) + "/"
    kind, longest = "", -1
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1]).rstrip("/") + "/"
        # The last of equal mount points lies on top.
        if path.startswith(point) and len(point) >= longest:
            kind, longest = fields[2], len(point)
    return not kind or _NETWORK_TYPES.fullmatch(kind) is not None


def _unescaped(point: str) -> str:
    for written, meant in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(written, meant)
    return point


def _touch(directory: str) -> os.stat_result:
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless:
        try:
            descriptor = os.open(directory, nameless | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
        else:
            try:
                return os.fstat(descriptor)
            finally:
                os.close(descriptor)
    path = f"{directory}/.custody-{os.urandom(8).hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(path)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
