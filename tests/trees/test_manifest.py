"""Manifests: strict, canonical, in linear time and bounded memory."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifacts.errors import CustodyError, InvalidInputError, LimitExceededError
from artifacts.trees import manifest
from artifacts.trees.manifest import HEADER, Entry, ManifestReader
from tests.trees.evil import EVIL, F, of
from tests.trees.shapes import file, folder, link

GOLDEN = [
    file("README", b"hello\n"),
    file("bin/run", b"#!/bin/sh\n", mode="755"),
    link("latest", b"bin/run"),
    folder("var/run"),
    file("ä b", b""),
]
PARTS = st.binary(min_size=1, max_size=12).filter(
    lambda part: part not in {b".", b".."} and not {0, ord("/")} & set(part)
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(b"/".join)
KINDS = st.sampled_from(["file", "run", "link", "folder"])


def an_entry(path: bytes, kind: str, content: bytes) -> Entry:
    if kind == "folder":
        return folder(path)
    if kind == "link":
        return link(path, content or b"x")
    return file(path, content, mode="755" if kind == "run" else "644")


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Entries of a directory that can exist."""
    drawn = draw(st.dictionaries(PATHS, st.tuples(KINDS, st.binary(max_size=20)), max_size=12))
    kept: list[Entry] = []
    for path, (kind, content) in sorted(drawn.items()):
        parents = {path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"}
        if not parents & {entry.path for entry in kept}:
            kept.append(an_entry(path, kind, content))
    return kept


@given(trees())
def test_what_is_written_reads_back_and_is_the_only_text_of_its_tree(entries: list[Entry]) -> None:
    text = manifest.write(reversed(entries))
    assert manifest.read(text) == entries
    assert manifest.write(manifest.read(text)) == text


@given(trees(), st.data())
def test_two_texts_never_mean_one_tree(entries: list[Entry], data: st.DataObject) -> None:
    """Change a text anywhere: it is refused, or it is another tree."""
    text = bytearray(manifest.write(entries))
    at = data.draw(st.integers(0, len(text)))
    new = data.draw(st.binary(max_size=3))
    cut = data.draw(st.integers(0, 3))
    changed = bytes(text[:at] + new + text[at + cut :])
    try:
        found = manifest.read(changed)
    except CustodyError:
        return
    assert (found == entries) == (changed == bytes(text))
    assert manifest.write(found) == changed


@given(st.binary(max_size=200))
@example(b"\n")
def test_what_is_accepted_is_what_would_have_been_written(tail: bytes) -> None:
    try:
        found = manifest.read(HEADER + tail)
    except CustodyError:
        return
    assert manifest.write(found) == HEADER + tail


@given(trees(), st.lists(st.integers(1, 40)))
def test_it_does_not_matter_how_a_text_is_cut(entries: list[Entry], cuts: list[int]) -> None:
    text = manifest.write(entries)
    reader = ManifestReader()
    found: list[Entry] = []
    for length in [*cuts, len(text)]:
        found += reader.feed(text[:length])
        text = text[length:]
    reader.finish()
    assert found == entries
    assert (reader.entries, reader.size) == (len(entries), sum(entry.size for entry in entries))


@pytest.mark.parametrize("name", EVIL)
def test_a_text_that_breaks_a_rule_is_no_manifest(name: str) -> None:
    with pytest.raises((InvalidInputError, LimitExceededError)):
        manifest.read(EVIL[name])


@pytest.mark.parametrize("name", EVIL)
def test_nor_is_it_one_byte_by_byte(name: str) -> None:
    reader = ManifestReader()
    text = EVIL[name][:20_000]

    def read() -> None:
        for at in range(len(text)):
            reader.feed(text[at : at + 1])
        reader.finish()

    with pytest.raises((InvalidInputError, LimitExceededError)):
        read()


def test_there_are_enough_ways_to_be_evil() -> None:
    assert len(EVIL) == len(set(EVIL.values())) >= 60


def test_the_golden_example_is_as_documented() -> None:
    text = manifest.write(GOLDEN)
    page = Path("docs/formats.md").read_text(encoding="utf-8")
    assert f"```\n{text.decode()}```" in page
    found = re.search(r"manifest of (\d+) bytes, whose digest is `sha256:([0-9a-f]{64})`", page)
    assert found is not None
    assert found.groups() == (str(len(text)), hashlib.sha256(text).hexdigest())


def test_an_empty_directory_is_the_first_line_alone() -> None:
    assert manifest.write([]) == HEADER
    assert manifest.read(HEADER) == []


def test_names_that_look_like_others_are_kept_apart() -> None:
    paths = [b"A", b"a", b"a b", b"a%20b", b"a\\b", b"a\n", b"..a", b"a..", b"...", b"-rf", b"~", b"\xff\xfe"]
    text = manifest.write([file(path, b"x") for path in paths])
    assert {entry.path for entry in manifest.read(text)} == set(paths)


def test_paths_may_be_as_long_as_the_limit() -> None:
    longest = b"/".join([b"n" * 255] * 16)
    assert manifest.read(of(F + longest))[0].path == longest
    with pytest.raises(LimitExceededError):
        manifest.read(of(F + b"n/" + longest))


def test_a_chain_of_prefixes_costs_no_more_than_its_length() -> None:
    """Each path is a prefix of the next: the shape that would make a careless check quadratic."""
    paths = [b"/".join([b"d" * 200] * 19) + b"/" + b"x" * length for length in range(1, 200)]
    reader = ManifestReader()
    for number in range(30):
        lines = [F + b"%03d/" % number + path[4:] + b"\n" for path in paths]
        reader.feed((HEADER if not number else b"") + b"".join(lines))
    reader.finish()
    assert reader.entries == 30 * len(paths)


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_ENTRIES", 3)
    manifest.read(of(*(F + b"%d" % number for number in range(3))))
    with pytest.raises(LimitExceededError):
        manifest.read(of(*(F + b"%d" % number for number in range(4))))
