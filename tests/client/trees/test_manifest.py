from __future__ import annotations

import hashlib
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import CustodyError
from artifacts.trees import manifest as service
from custody.trees.errors import MalformedTreeError
from custody.trees.escapes import escape, unescape
from custody.trees.manifest import EXECUTABLE, FILE, FOLDER, LINK, Manifest, build, parse
from tests.client.trees.evil_manifests import EVIL

PARTS = st.binary(min_size=1, max_size=12).filter(
    lambda part: part not in (b".", b"..") and b"/" not in part and b"\0" not in part
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(b"/".join)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Trees as a file system may hold them."""
    kept: list[bytes] = []
    for path in draw(st.lists(PATHS, unique=True, max_size=12)):
        clashes = any(path.startswith(one + b"/") or one.startswith(path + b"/") for one in kept)
        if not clashes:
            kept.append(path)
    kinds = bytes(draw(st.sampled_from((FILE, EXECUTABLE, LINK, FOLDER))) for _ in kept)
    sizes, digests = array("Q"), b""
    for kind in kinds:
        content = b"" if kind == FOLDER else draw(st.binary(min_size=1, max_size=3))
        sizes.append(len(content))
        digests += bytes(32) if kind == FOLDER else hashlib.sha256(content).digest()
    return build(kinds, sizes, digests, kept)


@given(manifests())
def test_what_is_written_reads_back(tree: Manifest) -> None:
    text = b"".join(tree.lines())
    assert hashlib.sha256(text).hexdigest() == tree.sha256
    assert parse([text]) == tree


@given(manifests(), st.integers(1, 7))
def test_a_manifest_may_arrive_in_pieces_of_any_size(tree: Manifest, size: int) -> None:
    text = b"".join(tree.lines())
    assert parse(text[start : start + size] for start in range(0, len(text), size)) == tree


@given(manifests())
def test_service_and_client_write_the_same_manifest(tree: Manifest) -> None:
    text = b"".join(tree.lines())
    entries = service.read(text)
    assert service.write(entries) == text
    assert [entry.path for entry in entries] == tree.paths


def _accepted_by_service(text: bytes) -> bool:
    try:
        service.read(text)
    except CustodyError:
        return False
    return True


def _accepted(text: bytes) -> bool:
    try:
        parse([text])
    except MalformedTreeError:
        return False
    return True


@given(manifests(), st.data())
@settings(max_examples=300)
def test_service_and_client_accept_the_same_texts(tree: Manifest, data: st.DataObject) -> None:
    text = bytearray(b"".join(tree.lines()))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        match data.draw(st.sampled_from(("change", "remove", "insert"))):
            case "change":
                text[at] = data.draw(st.sampled_from(b"%/.0aAfdl -\n2E\x00\xff"))
            case "remove":
                del text[at]
            case _:
                text.insert(at, data.draw(st.sampled_from(b"%/.0aAfdl -\n2E\x00\xff")))
    assert _accepted(bytes(text)) == _accepted_by_service(bytes(text))


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_manifest_is_refused_by_both(name: str) -> None:
    with pytest.raises(MalformedTreeError):
        parse([EVIL[name]])
    assert not _accepted_by_service(EVIL[name])


def test_there_are_enough_evil_manifests() -> None:
    assert len(set(EVIL.values())) >= 80


@given(st.binary(max_size=40))
def test_a_path_has_one_spelling(path: bytes) -> None:
    written = escape(path)
    assert unescape(written) == path
    assert written.isascii()
    assert all(0x21 <= byte <= 0x7E for byte in written)


def test_the_empty_tree_is_a_tree() -> None:
    assert parse([b"custody-tree/v1\n"]) == build(b"", array("Q"), b"", [])


def test_the_same_path_twice_is_no_tree() -> None:
    with pytest.raises(MalformedTreeError):
        build(bytes(2), array("Q", [0, 0]), bytes(64), [b"a", b"a"])
