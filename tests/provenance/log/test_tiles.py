"""Tiles are named, cut and read as C2SP tlog-tiles says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import EvidenceError, InvalidInputError
from provenance.log.frontier import Frontier
from provenance.log.merkle import EMPTY_ROOT, leaf_hashes
from provenance.log.tiles import (
    MAX_ENTRY,
    WIDTH,
    Tile,
    Tiles,
    decode_entries,
    edge,
    encode_entries,
    grown,
    part_of,
    split,
    tile_at,
)
from tests.provenance.log.trees import grown_by, numbered, tree_hash

_tiles = st.builds(
    Tile, st.one_of(st.none(), st.integers(0, 7)), st.integers(0, 10**12), st.integers(1, WIDTH)
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "0/000"),
        (Tile(0, 1234067), "0/x001/x234/067"),
        (Tile(3, 1000, 17), "3/x001/000.p/17"),
        (Tile(None, 999, 255), "entries/999.p/255"),
    ],
)
def test_a_tile_has_the_name_that_the_specification_gives_it(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@given(_tiles)
def test_a_name_reads_back(tile: Tile) -> None:
    assert Tile.parse(tile.path) == tile
    assert tile.full.is_full


@pytest.mark.parametrize(
    "path",
    [
        *("", "0", "0/", "0/00", "0/0000", "8/000", "00/000", "-1/000", "data/000", "entries/x000"),
        *("0/x000/001", "0/001/002", "0/x001/x002", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/"),
        *("0/../1/000", "0/000/", "0/000\n", "0/\N{ARABIC-INDIC DIGIT ONE}00", "0/x0a1/000"),
        "0/" + "x001/" * 7 + "000",
    ],
)
def test_what_is_spelled_otherwise_names_no_tile(path: str) -> None:
    with pytest.raises(InvalidInputError):
        Tile.parse(path)


@pytest.mark.parametrize(
    ("level", "number", "width"), [(8, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_there_are_no_tiles_beyond_the_tree(level: int, number: int, width: int) -> None:
    with pytest.raises(InvalidInputError):
        Tile(level, number, width)


def test_seventy_thousand_leaves_have_the_tiles_of_the_example() -> None:
    tiles = list(grown(0, 70_000))

    def of(level: int | None) -> list[Tile]:
        return [tile for tile in tiles if tile.level == level]

    assert [tile.width for tile in of(0)] == [WIDTH] * 273 + [112]
    assert of(1) == [Tile(1, 0), Tile(1, 1, 17)]
    assert of(2) == [Tile(2, 0, 1)]
    assert [tile.path for tile in of(None)] == [tile.path.replace("0/", "entries/", 1) for tile in of(0)]
    assert list(grown(0, 256)) == [Tile(None, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert edge(256) == [Tile(1, 0, 1)]
    assert max(tile.end for tile in tiles) == 70_000


@given(st.lists(st.integers(0, 1200), min_size=1, max_size=5).map(sorted))
def test_a_log_grows_by_the_tiles_that_it_is_said_to_grow_by(sizes: list[int]) -> None:
    frontier, entries = Frontier(), numbered(max(sizes))
    for size in sizes:
        before = frontier.size
        tiles = frontier.copy().grow(entries[before:size])
        again = frontier.grow(entries[before:size])
        assert tiles == again
        assert sorted(tile.path for tile in again) == sorted(tile.path for tile in grown(before, size))
        assert frontier.root == tree_hash(entries[:size])
    assert frontier.size == max(sizes)


@given(st.integers(0, 1200))
def test_the_edge_of_a_log_is_all_that_is_needed_to_add_to_it(size: int) -> None:
    frontier, contents, _ = grown_by(size)
    found = Frontier.of(size, {tile: contents[tile] for tile in edge(size)})
    assert found.root == frontier.root
    assert found.grow([b"next"]) == frontier.grow([b"next"])


def test_a_log_without_leaves_has_no_tiles() -> None:
    frontier = Frontier.of(0, {})
    assert frontier.root == EMPTY_ROOT
    assert frontier.grow([]) == {}


def test_an_edge_whose_entries_are_not_those_that_are_hashed_is_refused() -> None:
    _, contents, _ = grown_by(5)
    contents[Tile(None, 0, 5)] = encode_entries([*numbered(4), b"another"])
    with pytest.raises(EvidenceError):
        Frontier.of(5, contents)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entries_read_back(entries: list[bytes]) -> None:
    assert decode_entries(encode_entries(entries), len(entries)) == entries


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\2a", b"\0\1a\0", b"\0\1a\0\1b", b"\0\1ab"])
def test_entries_that_are_cut_off_or_followed_by_more_are_refused(content: bytes) -> None:
    with pytest.raises(EvidenceError):
        decode_entries(content, 1)


def test_an_entry_is_no_longer_than_its_length_can_say() -> None:
    assert decode_entries(encode_entries([b"x" * MAX_ENTRY]), 1) == [b"x" * MAX_ENTRY]
    with pytest.raises(InvalidInputError):
        encode_entries([b"x" * (MAX_ENTRY + 1)])


def test_a_tile_of_another_width_is_refused() -> None:
    content = b"".join(leaf_hashes(numbered(3)))
    assert split(content, Tile(0, 0, 3)) == leaf_hashes(numbered(3))
    with pytest.raises(EvidenceError):
        split(content, Tile(0, 0, 4))
    with pytest.raises(EvidenceError):
        Tiles(4, {Tile(0, 0, 4): content}).hash_of(0, 0)
    with pytest.raises(InvalidInputError):
        tile_at(0, 1, size=4)


def test_a_part_of_a_tile_is_its_beginning() -> None:
    entries, hashes = encode_entries(numbered(5)), b"".join(leaf_hashes(numbered(5)))
    assert part_of(entries, Tile(None, 0, 3)) == encode_entries(numbered(3))
    assert part_of(hashes, Tile(0, 0, 3)) == hashes[:96]
    with pytest.raises(EvidenceError):
        part_of(entries, Tile(None, 0, 6))
