"""Proofs as text: https://c2sp.org/tlog-proof, index, hashes and the checkpoint in one file."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from artifacts.errors import EvidenceError
from provenance.log.checkpoint import Checkpoint
from provenance.log.merkle import leaf_hash
from provenance.log.notes import MAX_NOTE_BYTES, NoteKey
from provenance.log.proofs import check_inclusion

_FIRST: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MOST_BYTES: Final = MAX_NOTE_BYTES + 8192


@dataclass(frozen=True, slots=True)
class LogProof:
    """That a leaf stands in a log: where, and how that follows from a checkpoint."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note, to the byte."""

    def to_bytes(self) -> bytes:
        """The proof as text."""
        hashes = "".join(base64.b64encode(one).decode("ascii") + "\n" for one in self.hashes)
        return f"{_FIRST}\nindex {self.index}\n{hashes}\n".encode() + self.checkpoint

    @classmethod
    def parse(cls, raw: bytes) -> LogProof:
        """Read a proof; extra data, which nothing vouches for, is refused.

        Raises:
            EvidenceError: it is not one.
        """
        head, blank, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
            hashes = tuple(base64.b64decode(line, validate=True) for line in lines[2:])
        except (UnicodeDecodeError, binascii.Error, ValueError) as error:
            raise EvidenceError("not a proof of inclusion in a log") from error
        index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        if len(raw) > _MOST_BYTES or not blank or lines[0] != _FIRST or index is None:
            raise EvidenceError("not a proof of inclusion in a log")
        proof = cls(int(index[1]), hashes, checkpoint)
        if proof.to_bytes() != raw:
            raise EvidenceError("a proof of inclusion is written in one way")
        return proof

    def verify(self, entry: bytes, key: NoteKey) -> Checkpoint:
        """Return the checkpoint that shows that `entry` stands in the log of `key`.

        Raises:
            EvidenceError: none does.
        """
        found = Checkpoint.verified(self.checkpoint, key)
        check_inclusion(self.index, found.size, leaf_hash(entry), self.hashes, found.root)
        return found
