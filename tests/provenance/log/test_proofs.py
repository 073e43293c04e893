"""Trees and proofs are those of RFC 6962, for every size and from every tile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import EvidenceError, InvalidInputError
from provenance.log.merkle import EMPTY_ROOT, leaf_hash, leaf_hashes, root_of
from provenance.log.proofs import (
    check_consistency,
    check_inclusion,
    consistency_parts,
    folded,
    inclusion_parts,
)
from provenance.log.tiles import Tiles, needed
from tests.provenance.log.trees import audit_path, consistency, grown_by, numbered, tree_hash

_sizes = st.integers(1, 700)


@pytest.mark.parametrize("size", [*range(40), 255, 256, 257, 513])
def test_a_root_is_that_of_the_definition(size: int) -> None:
    entries = numbered(size)
    assert root_of(leaf_hashes(entries)) == tree_hash(entries)


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == tree_hash([])


@given(st.data())
def test_an_inclusion_proof_is_that_of_the_definition_and_holds(data: st.DataObject) -> None:
    size = data.draw(_sizes)
    index = data.draw(st.integers(0, size - 1))
    frontier, contents, entries = grown_by(size)
    parts = inclusion_parts(index, size)
    tiles = Tiles(size, {tile: contents[tile] for tile in needed(parts, size=size)})
    proof = folded(parts, tiles.hash_of)
    assert proof == audit_path(index, entries)
    check_inclusion(index, size, leaf_hash(entries[index]), proof, frontier.root)


@given(st.data())
def test_a_consistency_proof_is_that_of_the_definition_and_holds(data: st.DataObject) -> None:
    new = data.draw(_sizes)
    old = data.draw(st.integers(1, new))
    frontier, contents, entries = grown_by(new)
    parts = consistency_parts(old, new)
    tiles = Tiles(new, {tile: contents[tile] for tile in needed(parts, size=new)})
    proof = folded(parts, tiles.hash_of)
    assert proof == consistency(old, entries)
    check_consistency(old, new, tree_hash(entries[:old]), frontier.root, proof)


@given(st.data())
def test_no_proof_holds_for_another_leaf_place_or_tree(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 80))
    index = data.draw(st.integers(0, size - 1))
    entries = numbered(size)
    proof, root = audit_path(index, entries), tree_hash(entries)
    changed = data.draw(st.integers(0, len(proof) - 1))
    bent = [*proof[:changed], leaf_hash(b"bent"), *proof[changed + 1 :]]
    for wrong in (
        ((index + 1) % size, size, leaf_hash(entries[index]), proof, root),
        (index, size, leaf_hash(b"another"), proof, root),
        (index, size, leaf_hash(entries[index]), bent, root),
        (index, size, leaf_hash(entries[index]), proof[:-1], root),
        (index, size, leaf_hash(entries[index]), [*proof, root], root),
        (index, size, leaf_hash(entries[index]), proof, leaf_hash(b"root")),
        (size, size, leaf_hash(entries[index]), proof, root),
        (-1, size, leaf_hash(entries[index]), proof, root),
        (index, size, leaf_hash(entries[index])[:31], proof, root),
        (index, size, leaf_hash(entries[index]), [one[:31] for one in proof], root),
    ):
        with pytest.raises(EvidenceError):
            check_inclusion(*wrong)


@given(st.data())
def test_no_tree_that_was_changed_is_consistent_with_what_it_was(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, 80))
    old = data.draw(st.integers(1, new - 1))
    entries = numbered(new)
    proof, older, newer = consistency(old, entries), tree_hash(entries[:old]), tree_hash(entries)
    for wrong in (
        (old, new, leaf_hash(b"older"), newer, proof),
        (old, new, older, leaf_hash(b"newer"), proof),
        (old, new, older, newer, proof[:-1]),
        (old, new, older, newer, [*proof, newer]),
        (new, old, newer, older, proof),
        (0, new, EMPTY_ROOT, newer, []),
        (new, new, newer, newer, proof),
        (new, new, older, newer, []),
        (old, new, older, newer, [b""] * 65),
    ):
        with pytest.raises(EvidenceError):
            check_consistency(*wrong)


def test_a_tree_is_consistent_with_itself() -> None:
    root = tree_hash(numbered(5))
    check_consistency(5, 5, root, root, [])


def test_a_proof_between_other_sizes_is_too_long_or_too_short() -> None:
    entries = numbered(9)
    older, newer = tree_hash(entries[:8]), tree_hash(entries)
    for proof in (consistency(8, entries), consistency(3, entries)):
        with pytest.raises(EvidenceError):
            check_consistency(5, 6, older, newer, proof)
        with pytest.raises(EvidenceError):
            check_consistency(2, 60, older, newer, proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InvalidInputError):
        inclusion_parts(index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 3)])
def test_there_is_no_proof_between_what_are_no_older_and_newer_trees(old: int, new: int) -> None:
    with pytest.raises(InvalidInputError):
        consistency_parts(old, new)
