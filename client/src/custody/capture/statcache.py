"""Digests remembered by what the file system says of a file, so that nothing is hashed twice.

The rules that make it safe:

1. The key is the whole identity: device, inode, size, mtime, ctime and mode. A
   process may set an mtime back, a ctime only with the system's clock.
2. A digest is remembered only when both times lie before the file system's own
   clock as it stood when hashing began, by a margin (`custody.capture.clock`);
   a later change then cannot leave the key as it is. (One gap is known: a process
   that keeps a shared writable mapping open may write for some seconds without
   a new time stamp.)
3. The file is kept in the user's cache folder, never below the directory it speaks
   of; another owner, other modes, a link or a wrong checksum make it no cache.
4. It is not kept at all in CI, where the step before may be somebody else's.
   Within one run it serves from memory.
"""

import contextlib
import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from custody.capture.clock import FileSystemClock, Tick, TouchClock
from custody.capture.hashing import Hashed, open_regular
from custody.capture.identity import IDENTITY_SIZE, Identity, facts_of

MAX_ENTRIES = 200_000
"""Digests that are remembered; of a larger directory as many."""

_MAGIC = b"custody statcache 1\n"
_CI_VARIABLES = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "BUILDKITE",
    "TEKTON_PIPELINE_RUN",
    "TF_BUILD",
    "TEAMCITY_VERSION",
    "CIRCLECI",
    "BUILD_ID",
)


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether the cache may be kept between runs by default: not in CI."""
    return not any(environ.get(name, "") not in ("", "0", "false", "False") for name in _CI_VARIABLES)


def cache_file(root: str, environ: Mapping[str, str], *, namespace: str = "sha256") -> str | None:
    """Return where the cache of `root` lies, or None when it would lie within reach of `root`."""
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = environ.get("HOME", "")
        if not os.path.isabs(home):
            return None
        base = f"{home}/.cache"
    top = os.path.realpath(root)
    folder = os.path.realpath(f"{base}/custody/statcache")
    if f"{folder}/".startswith(f"{top.rstrip('/')}/"):
        return None
    return f"{folder}/{hashlib.sha256(os.fsencode(top)).hexdigest()[:32]}.{namespace}"


@dataclass(slots=True)
class StatCache:
    """The digests of one directory's files, by identity.

    Attributes:
        path: Where it is kept; None keeps it in memory alone.
        digest_size: 32 for sha256, 20 for git's sha1.
        entries: Digest by identity. Only `remember` adds, so every entry is trusted.
    """

    path: str | None = None
    digest_size: int = 32
    clock: FileSystemClock = field(default_factory=TouchClock)
    entries: dict[bytes, bytes] = field(default_factory=dict)
    _kept: int | None = None
    """How many of them the file holds, if there is one; it holds no others."""
    _added: bool = False

    @classmethod
    def load(
        cls, path: str | None, *, digest_size: int = 32, clock: FileSystemClock | None = None
    ) -> "StatCache":
        """Read the cache at `path`; whatever is wrong with it, it is then merely empty."""
        cache = cls(path, digest_size, clock or TouchClock())
        if path is not None:
            with contextlib.suppress(OSError, ValueError):
                cache.entries = _parsed(_read_own(path), digest_size)
                cache._kept = len(cache.entries)
        return cache

    def tick(self, directory: str) -> Tick | None:
        """Read the clock; to be called before the first file is hashed."""
        return self.clock.read(directory)

    def remember(self, hashed: Hashed, tick: Tick | None) -> bool:
        """Keep a digest if it can be trusted later (rule 2) and there is room; return whether it can."""
        facts = facts_of(hashed.identity)
        if not hashed.stable or tick is None:
            return False
        if not tick.settled(facts.device, facts.modified_at, facts.changed_at):
            return False
        if len(self.entries) < MAX_ENTRIES:
            self.entries[hashed.identity] = hashed.raw
            self._added = True
        return True

    def make_room(self, wanted: int, keep: Iterable[Identity]) -> None:
        """Forget all but `keep` if there is no room for so many more."""
        if len(self.entries) + wanted > MAX_ENTRIES:
            self._retain(keep)

    def _retain(self, keep: Iterable[Identity]) -> None:
        """Forget all but `keep`; moved one by one, so that they never take twice the memory."""
        known, self.entries = self.entries, {}
        for key in keep:
            if (digest := known.pop(key, None)) is not None:
                self.entries[key] = digest

    def save(self, keep: Iterable[Identity]) -> bool:
        """Write the entries of `keep` if they are not what the file holds; return whether it was written.

        The others are forgotten. A cache that cannot be written is no error: the next run hashes again.
        """
        if self.path is None:
            return False
        self._retain(keep)
        if not self._added and len(self.entries) == self._kept:
            return False
        try:
            _write(self.path, _formed(self.entries))
        except OSError:
            return False
        self._kept, self._added = len(self.entries), False
        return True


def _form(digest_size: int) -> struct.Struct:
    return struct.Struct(f"{IDENTITY_SIZE}s{digest_size}s")


def _formed(entries: Mapping[bytes, bytes]) -> tuple[bytes, bytearray]:
    """Return the head and body of a file; both members of an entry are always of one length."""
    body = bytearray()
    for piece in chain.from_iterable(entries.items()):
        # Joining them would first make a list of all.
        body += piece
    return _MAGIC + hashlib.sha256(body).digest(), body


def _parsed(content: bytes, digest_size: int) -> dict[bytes, bytes]:
    """Read what `_formed` wrote.

    Raises:
        ValueError: It is anything else.
    """
    start = len(_MAGIC) + 32
    body = memoryview(content)[start:]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != content[len(_MAGIC) : start]:
        raise ValueError("not a cache, or a damaged one")
    try:
        return dict(_form(digest_size).iter_unpack(body))
    except struct.error as error:
        raise ValueError("cut short") from error


def _read_own(path: str) -> bytes:
    """Read a file that nobody else can have written.

    Raises:
        ValueError: It belongs to somebody else, others may write it, or it is too large.
        OSError: It cannot be read, or is no regular file.
    """
    with os.fdopen(open_regular(path), "rb") as stream:
        found = os.fstat(stream.fileno())
        limit = MAX_ENTRIES * (IDENTITY_SIZE + 32) + 128
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077 or found.st_size > limit:
            raise ValueError("not our own file")
        return stream.read(limit)


def _write(path: str, pieces: Iterable[bytes | bytearray]) -> None:
    folder = os.path.dirname(path)
    os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found = os.lstat(folder)
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise PermissionError(f"{folder} can be written by others")
    temporary = f"{folder}/.new-{os.urandom(8).hex()}"
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(pieces)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
