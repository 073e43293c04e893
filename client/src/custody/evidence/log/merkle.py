"""Merkle trees of RFC 6962: hashes of leaves and nodes, and the root over them.

https://www.rfc-editor.org/rfc/rfc6962.html#section-2.1
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"


def leaf_hash(entry: bytes) -> bytes:
    """The hash under which `entry` stands in a tree; no node has it, whatever its children."""
    return sha256(_LEAF + entry).digest()


def leaf_hashes(entries: Sequence[bytes]) -> list[bytes]:
    """As `leaf_hash` of each; an audit does little else."""
    return [sha256(_LEAF + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with these two children."""
    return sha256(_NODE + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over `hashes`, level by level; who is left over on a level moves up as it is.

    This gives the same root as the definition, which splits at the largest power of two.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        alone = level[len(level) & ~1 :]
        level = [sha256(_NODE + left + right).digest() for left, right in zip(level[::2], level[1::2])]  # noqa: B905 - the one left over is `alone`
        level += alone
    return level[0]
