"""The newest checkpoint of each log that this user has seen: what makes a rollback or a fork show.

One file a log key, in the state folder of the user. Nothing is ever replaced by less.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from custody.errors import ContentError
from custody.evidence.errors import EvidenceError
from custody.evidence.log.checkpoint import Checkpoint
from custody.evidence.log.notes import NoteKey
from custody.spool.durable import sync_folder, write_file


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A folder of checkpoints."""

    root: Path

    def kept(self, key: NoteKey) -> Checkpoint | None:
        """Return the newest checkpoint that was kept of the log of `key`.

        Raises:
            ContentError: What was kept is damaged; nothing can be said of the log until it is removed.
        """
        path = self._place(key)
        try:
            return Checkpoint.verified(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except EvidenceError as error:
            raise ContentError(
                f"{path}: {error}", hint="it was changed; remove it to begin anew, and lose what it remembers"
            ) from error

    def keep(self, raw: bytes, key: NoteKey) -> None:
        """Keep a checkpoint that was verified and begins with the one kept before, unless that is newer."""
        new = Checkpoint.verified(raw, key)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            old = self.kept(key)
            if old is not None and old.size >= new.size:
                return
            path = self._place(key)
            draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            draft.unlink(missing_ok=True)
            write_file(draft, raw)
            draft.replace(path)
            sync_folder(self.root)

    def _place(self, key: NoteKey) -> Path:
        # The name of a log may hold what the name of a file may not.
        shown = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in key.name)[:100]
        return self.root / f"{shown}-{sha256(key.text.encode()).hexdigest()[:16]}"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def find_checkpoints(environ: Mapping[str, str]) -> Checkpoints | None:
    """Return where checkpoints are kept; None for a user without a home."""
    base = environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        home = environ.get("HOME", "")
        if not home.startswith("/"):
            return None
        base = f"{home}/.local/state"
    return Checkpoints(Path(base, "custody", "checkpoints"))
