"""The definitions of RFC 6962, word for word, to compare with; and logs made of small entries."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from provenance.log.frontier import Frontier
from provenance.log.tiles import Tile


def tree_hash(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of section 2.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    middle = _middle(len(entries))
    return sha256(b"\1" + tree_hash(entries[:middle]) + tree_hash(entries[middle:])).digest()


def audit_path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(entries) == 1:
        return []
    middle = _middle(len(entries))
    if index < middle:
        return [*audit_path(index, entries[:middle]), tree_hash(entries[middle:])]
    return [*audit_path(index - middle, entries[middle:]), tree_hash(entries[:middle])]


def consistency(old: int, entries: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of section 2.1.2."""
    if old == len(entries):
        return [] if whole else [tree_hash(entries)]
    middle = _middle(len(entries))
    if old <= middle:
        return [*consistency(old, entries[:middle], whole=whole), tree_hash(entries[middle:])]
    return [*consistency(old - middle, entries[middle:], whole=False), tree_hash(entries[:middle])]


def _middle(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def numbered(size: int) -> list[bytes]:
    """So many entries, all different."""
    return [b"entry %d" % number for number in range(size)]


def grown_by(*sizes: int) -> tuple[Frontier, dict[Tile, bytes], list[bytes]]:
    """A log that grew to each of `sizes`, every tile it ever had, and its entries."""
    frontier, entries = Frontier(), numbered(max(sizes))
    tiles: dict[Tile, bytes] = {}
    for size in sizes:
        tiles |= frontier.grow(entries[frontier.size : size])
    return frontier, tiles, entries
