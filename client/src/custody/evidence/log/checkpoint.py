"""Checkpoints: how many leaves a log has, and the root over all of them, in a signed note.

https://c2sp.org/tlog-checkpoint
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from custody.evidence.errors import EvidenceError
from custody.evidence.log.merkle import HASH_BYTES
from custody.evidence.log.notes import Note, NoteKey

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,200}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, its size, its root."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not _ORIGIN.fullmatch(self.origin):
            raise EvidenceError("the name of a log is plain letters without spaces and +")
        if self.size < 0 or len(self.root) != HASH_BYTES:
            raise EvidenceError("not the size and the root of a tree")

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"

    @classmethod
    def read(cls, text: str) -> Checkpoint:
        """Read the text of a note that was verified; lines we do not write are refused.

        Raises:
            EvidenceError: it is not the text of a checkpoint.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not _SIZE.fullmatch(lines[1]):
            raise EvidenceError("a checkpoint is an origin, a size and a root")
        try:
            found = cls(lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True))
        except (EvidenceError, binascii.Error, ValueError) as error:
            raise EvidenceError("a checkpoint is an origin, a size and a root") from error
        if found.text != text:
            raise EvidenceError("a checkpoint is written in one way")
        return found

    @classmethod
    def verified(cls, raw: bytes, key: NoteKey) -> Checkpoint:
        """Read a checkpoint that `key` signed, of the log with the name of that key.

        Raises:
            EvidenceError: it is not one.
        """
        note = Note.parse(raw)
        note.verify([key])
        found = cls.read(note.text)
        if found.origin != key.name:
            raise EvidenceError("the checkpoint is of another log")
        return found
