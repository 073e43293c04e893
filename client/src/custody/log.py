"""The log of a service: its newest checkpoint, held against the newest one that was kept."""

from __future__ import annotations

from dataclasses import dataclass

from custody.checkpoints import Checkpoints
from custody.errors import NothingFoundError, RefusedError
from custody.evidence.errors import EvidenceError
from custody.evidence.log.auditing import LogView
from custody.evidence.log.checkpoint import Checkpoint
from custody.evidence.log.notes import NoteKey
from custody.service import Service


@dataclass(frozen=True, slots=True)
class ServiceTiles:
    """The tiles of a service."""

    service: Service

    def tile(self, path: str) -> bytes:
        """Return a tile.

        Raises:
            EvidenceError: The service has none of that name.
        """
        try:
            return self.service.log_tile(path)
        except (NothingFoundError, RefusedError) as error:
            raise EvidenceError(f"tile {path}: {error.message}") from error


@dataclass(frozen=True, slots=True)
class Grown:
    """A checkpoint that was verified, and the one that it was held against."""

    note: bytes
    new: Checkpoint
    old: Checkpoint | None


def newest(service: Service, key: NoteKey, kept: Checkpoints | None) -> Grown:
    """Return the newest checkpoint of the service, if it begins with what was kept; and keep it.

    Raises:
        EvidenceError: It is not signed by `key`, or is of a log that went back or was forked.
        NothingFoundError: Nothing was ever logged.
    """
    note = service.log_checkpoint()
    new = Checkpoint.verified(note, key)
    old = None if kept is None else kept.kept(key)
    if old is not None:
        LogView(ServiceTiles(service)).check_grown(old, new)
    if kept is not None:
        kept.keep(note, key)
    return Grown(note, new, old)
