"""Where the spool lies, how large it may grow, and who may use it at a time.

incoming/   what is being written; whoever holds the lock `writing` owns all of it
entries/    whole steps, one folder each, named by the step's ULID
refused/    what the service refused for good, with the reason
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from custody.errors import ContentError, MisuseError
from custody.ids import is_ulid
from custody.nodestore.sizes import parse_size
from custody.spool.durable import remove, sync_folder

DEFAULT_LIMIT = 10 << 30
_FOLDERS = ("incoming", "entries", "refused")


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of undelivered steps, and how many bytes it may hold."""

    root: Path
    limit: int = DEFAULT_LIMIT

    @property
    def incoming(self) -> Path:
        """Where steps are written."""
        return self.root / "incoming"

    @property
    def entries(self) -> Path:
        """Where whole steps wait."""
        return self.root / "entries"

    @property
    def refused(self) -> Path:
        """Where what the service refused is kept."""
        return self.root / "refused"

    def open(self) -> None:
        """Make the folders.

        Raises:
            MisuseError: Others may write to them: they could have us deliver what they wrote.
            ContentError: They cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _FOLDERS:
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.root)
            for folder in (self.root, *(self.root / name for name in _FOLDERS)):
                _check(folder)
        except OSError as error:
            raise ContentError(f"{error.filename or self.root}: {error.strerror}") from error

    def waiting(self) -> list[str]:
        """Return the ids of the steps to deliver, those that began first before the others."""
        try:
            return sorted(one.name for one in self.entries.iterdir() if is_ulid(one.name))
        except FileNotFoundError:
            return []

    def size(self) -> int:
        """Return how many bytes all of it takes, what was refused included."""
        total = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                with suppress(FileNotFoundError):  # another process delivers meanwhile
                    total += os.lstat(f"{folder}/{name}").st_size
        return total

    def sweep(self) -> None:
        """Drop what a crash left unfinished. Only for the holder of the lock `writing`."""
        for one in self.incoming.iterdir():
            remove(one)

    @contextmanager
    def alone(self, purpose: str, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock for `purpose`; the kernel lets go of it when a process dies.

        Args:
            purpose: `writing` or `flushing`.
            waiting: Called once if another process holds it.
        """
        found = os.open(self.root / f"{purpose}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if waiting is not None:
                    waiting()
                fcntl.flock(found, fcntl.LOCK_EX)
            yield
        finally:
            os.close(found)


def find_spool(environ: Mapping[str, str]) -> Spool | None:
    """Return the spool: `CUSTODY_SPOOL`, else in the state folder of the user; None without either.

    Raises:
        MisuseError: `CUSTODY_SPOOL` is relative, or `CUSTODY_SPOOL_SIZE` no size.
    """
    given = environ.get("CUSTODY_SPOOL", "")
    if given and not given.startswith("/"):
        raise MisuseError("CUSTODY_SPOOL is no absolute path")
    written = environ.get("CUSTODY_SPOOL_SIZE", "")
    limit = parse_size(written) if written else DEFAULT_LIMIT
    if given:
        return Spool(Path(given), limit)
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.local/state"
    return Spool(Path(base, "custody", "spool"), limit)


def _check(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise MisuseError(f"{folder} is not a folder of yours alone", hint=f"chmod 700 {folder}")
