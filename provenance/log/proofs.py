"""Proofs about Merkle trees: that a leaf is in one, that one begins with another.

https://www.rfc-editor.org/rfc/rfc9162.html#section-2.1.3

A proof is made in two steps. First which hashes it needs, as nodes of whole subtrees: so
whoever keeps them in tiles can fetch them together. Then the hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from artifacts.errors import EvidenceError, InvalidInputError
from provenance.log.merkle import HASH_BYTES, node_hash

Node: TypeAlias = tuple[int, int]
"""A whole subtree: (level, number), of 2^level leaves from number * 2^level."""
Part: TypeAlias = tuple[Node, ...]
"""What one hash of a proof is folded from: neighbours from left to right, each smaller than the one before."""
HashOf: TypeAlias = Callable[[int, int], bytes]

_MOST: Final = 64
"""Hashes of one proof; a tree has no more levels."""


def subtrees(begin: int, end: int) -> Part:
    """The whole subtrees that make up the leaves from `begin` to before `end`, largest first.

    `begin` is a multiple of the first one's size, as it is in any proof.
    """
    found = []
    for level in range((end - begin).bit_length() - 1, -1, -1):
        if end - begin >= 1 << level:
            found.append((level, begin >> level))
            begin += 1 << level
    return tuple(found)


def inclusion_parts(index: int, size: int) -> list[Part]:
    """What proves that leaf `index` is in the tree of `size` leaves, from the leaf up.

    Raises:
        InvalidInputError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise InvalidInputError("no such leaf", index=index, size=size)
    begin, end, parts = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            parts.append(subtrees(middle, end))
            end = middle
        else:
            parts.append(subtrees(begin, middle))
            begin = middle
    return parts[::-1]


def consistency_parts(old: int, new: int) -> list[Part]:
    """What proves that the tree of `new` leaves begins with that of `old`.

    Raises:
        InvalidInputError: the trees are not an older and a newer one.
    """
    if not 0 < old <= new:
        raise InvalidInputError("not an older and a newer tree", old=old, new=new)
    begin, end, parts, whole = 0, new, [], True
    while old < end:
        middle = begin + _split(end - begin)
        if old <= middle:
            parts.append(subtrees(middle, end))
            end = middle
        else:
            parts.append(subtrees(begin, middle))
            begin, whole = middle, False
    # What is left is the right edge of the old tree; where that is all of it, its root is known.
    edge = [] if whole else [subtrees(begin, end)]
    return edge + parts[::-1]


def folded(parts: Sequence[Part], hash_of: HashOf) -> list[bytes]:
    """The hashes of a proof, from those of its nodes."""
    return [_fold(part, hash_of) for part in parts]


def _fold(part: Part, hash_of: HashOf) -> bytes:
    hashes = [hash_of(level, number) for level, number in part]
    whole = hashes.pop()
    while hashes:
        whole = node_hash(hashes.pop(), whole)
    return whole


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def check_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Return if `proof` shows that the leaf with the hash `leaf` is number `index` of the tree.

    Raises:
        EvidenceError: it does not.
    """
    _check_form(proof, root, leaf)
    if not 0 <= index < size:
        raise EvidenceError("the proof is of a leaf that the tree does not have")
    number, last, hashed = index, size - 1, leaf
    for other in proof:
        if last == 0:
            raise EvidenceError("the inclusion proof is too long")
        if number & 1 or number == last:
            hashed = node_hash(other, hashed)
            number, last = _up_the_edge(number, last)
        else:
            hashed = node_hash(hashed, other)
        number, last = number >> 1, last >> 1
    if last != 0 or hashed != root:
        raise EvidenceError("the inclusion proof does not lead to the root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if `proof` shows that the new tree begins with all of the old one.

    Raises:
        EvidenceError: it does not.
    """
    if not 0 < old <= new:
        raise EvidenceError("nothing can be shown of an empty tree, or of one that shrank", old=old, new=new)
    if old == new:
        if proof or old_root != new_root:
            raise EvidenceError("two trees of one size are not the same", size=old)
        return
    _check_form(proof, old_root, new_root)
    # A whole old tree is its own edge, which a proof does not repeat.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if len(path) < 2:
        raise EvidenceError("the consistency proof is too short")
    if _roots(old - 1, new - 1, path) != (old_root, new_root):
        raise EvidenceError("the consistency proof does not lead to both roots", old=old, new=new)


def _roots(number: int, last: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of both trees, of which `number` and `last` are the last leaves."""
    while number & 1:
        number, last = number >> 1, last >> 1
    older = newer = path[0]
    for other in path[1:]:
        if last == 0:
            raise EvidenceError("the consistency proof is too long")
        if number & 1 or number == last:
            older, newer = node_hash(other, older), node_hash(other, newer)
            number, last = _up_the_edge(number, last)
        else:
            newer = node_hash(newer, other)
        number, last = number >> 1, last >> 1
    if last != 0:
        raise EvidenceError("the consistency proof is too short")
    return older, newer


def _up_the_edge(number: int, last: int) -> tuple[int, int]:
    """Skip the levels on which a node on the right edge has no neighbour."""
    while not number & 1 and number:
        number, last = number >> 1, last >> 1
    return number, last


def _check_form(proof: Sequence[bytes], *roots: bytes) -> None:
    if len(proof) > _MOST or any(len(one) != HASH_BYTES for one in (*proof, *roots)):
        raise EvidenceError(f"a proof is at most {_MOST} hashes of {HASH_BYTES} bytes")
