"""What the answer about a place in the log carries."""

from __future__ import annotations

import base64

from api.answers import Answer
from provenance.log.reading import Logged


class ProofAnswer(Answer):
    """That a leaf is in the log of a checkpoint; all that is needed to see it but the key."""

    index: int
    tree_size: int
    leaf: str
    hashes: list[str]
    checkpoint: str

    @classmethod
    def of(cls, logged: Logged) -> ProofAnswer:
        """Describe `logged`."""
        return cls(
            index=logged.proof.index,
            tree_size=logged.checkpoint.size,
            leaf=base64.b64encode(logged.entry).decode("ascii"),
            hashes=[base64.b64encode(one).decode("ascii") for one in logged.proof.hashes],
            checkpoint=logged.proof.checkpoint.decode(),
        )
