"""Packs come from the object store where the service refers to it, and from the service where not."""

from __future__ import annotations

import hashlib
import secrets
import socket
from array import array
from pathlib import Path

import pytest
import zstandard

from custody.nodestore.store import NodeStore
from custody.transport import Transport
from custody.trees.direct import Direct, References
from custody.trees.layout import Frame
from custody.trees.remote import TreeService
from custody.trees.restore import Options, restore
from custody.trees.source import Source
from custody.trees.supply import Supply
from custody.trees.writing import WrongBytesError
from tests.client.trees.tree_peer import Shelf, tree_peer
from tests.client.trees.trees_at_hand import HASTY, file, link, seen, shelve

CONTENT = secrets.token_bytes(300_000)


def fetched(shelf: Shelf, tree: str, target: Path, *, store: NodeStore | None = None) -> bytes:
    source = Source(lambda: TreeService(Transport(shelf.url, "secret", patience=HASTY)), store)
    try:
        restore(source, source.manifest(tree), str(target), Options())
    finally:
        source.close()
    return seen(target)[b"large"][2]


def a_tree(shelf: Shelf) -> str:
    return shelve(shelf, [file("large", CONTENT), link("link", "large")])


def test_a_pack_comes_from_the_store_and_the_token_stays_with_the_service(tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store:
        tree = a_tree(service)
        store.blobs, service.blobs, service.refer_to = service.blobs, {}, store.url
        assert fetched(service, tree, tmp_path / "out") == CONTENT
    assert store.asked
    assert all(asked.split()[1].endswith("?signature=good") for asked in store.asked)
    assert set(store.tokens) == {""}
    assert set(service.tokens) == {"Bearer secret"}


@pytest.mark.parametrize(
    "what", ["nothing there", "nobody there", "no address", "no port", "no ascii", "a space", "no host"]
)
def test_a_store_that_gives_nothing_is_done_without(what: str, tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        places = {
            "nothing there": store.url,
            "nobody there": f"http://127.0.0.1:{unused.getsockname()[1]}",
            "no address": "gopher://store",
            "no port": "http://store:port",
            "no ascii": f"{store.url}/ü",
            "a space": f"{store.url}/a b",
            "no host": f"http://{'a' * 70}.invalid",
        }
        tree = a_tree(service)
        service.refer_to = places[what]
        assert fetched(service, tree, tmp_path / "out") == CONTENT
    assert sum("redirect=1" in asked for asked in service.asked) == 1


LARGE = secrets.token_bytes(3 << 20)
"""Of more than a frame: a blob of its own."""


def a_tree_of_one_blob(shelf: Shelf) -> str:
    tree = shelve(shelf, [file("large", LARGE)])
    shelf.blobs = {hashlib.sha256(LARGE).hexdigest(): LARGE}
    shelf.layouts[tree] = zstandard.compress(f"custody-layout/v1 {tree}\n".encode())
    return tree


@pytest.mark.parametrize("wrong", ["all zeros", "breaks off each time", "a page to log in"])
@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["frame", "blob"])
def test_what_a_store_gives_wrong_comes_from_the_service_and_the_store_is_left_alone(
    content: bytes, wrong: str, tmp_path: Path
) -> None:
    with tree_peer() as service, tree_peer() as store:
        tree = a_tree(service) if content is CONTENT else a_tree_of_one_blob(service)
        store.blobs = dict(service.blobs)
        if wrong == "all zeros":
            store.blobs = {sha256: bytes(len(pack)) for sha256, pack in service.blobs.items()}
        store.break_off = 1000 if wrong == "breaks off each time" else 0
        store.portal = wrong == "a page to log in"
        service.refer_to = store.url
        assert fetched(service, tree, tmp_path / "out") == content
    assert len(store.asked) == 1


def test_of_several_frames_only_those_that_a_store_forges_are_asked_for_again() -> None:
    frames = [Frame(0, offset, 4, 4, array("I"), array("I")) for offset in (0, 4, 8)]
    taken: list[tuple[int, bytes]] = []

    def take(frame: Frame, packed: bytes | memoryview) -> None:
        if bytes(packed) == b"evil":
            raise WrongBytesError("evil")
        taken.append((frame.offset, bytes(packed)))

    with tree_peer() as service, tree_peer() as store:
        service.blobs["ab"], store.blobs["ab"] = b"one two six ", b"one eviltwo "
        service.refer_to = store.url
        remote = TreeService(Transport(service.url, None, patience=HASTY))
        supply = Supply(lambda: Direct(remote, References()), None)
        supply.frames("ab", frames, take)
        supply.close()
    assert taken == [(0, b"one "), (4, b"two "), (8, b"six ")]
    assert service.asked[1:] == ["GET /v1/blobs/sha256:ab bytes=4-11"]


def test_what_store_and_service_forge_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store:
        tree = a_tree(service)
        service.blobs = {sha256: bytes(len(pack)) for sha256, pack in service.blobs.items()}
        store.blobs, service.refer_to = service.blobs, store.url
        with pytest.raises(WrongBytesError, match="frame"):
            fetched(service, tree, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_reference_whose_body_breaks_off_is_as_good_as_any(tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store:
        tree = a_tree(service)
        store.blobs, service.blobs = service.blobs, {}
        service.refer_to, service.torn = store.url, True
        assert fetched(service, tree, tmp_path / "out") == CONTENT


def test_a_service_over_tls_leads_nobody_to_a_store_without() -> None:
    direct = Direct(TreeService(Transport("https://custody.test", None)), References())
    assert direct._read("http://store.test/blob?signature=good") is None
    assert direct._read("https://store.test/blob?signature=good") is not None


def test_a_reference_is_asked_for_once_and_again_when_it_may_have_expired(tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store:
        store.blobs["ab"] = b"content"
        service.refer_to = store.url
        references = References()
        direct = Direct(TreeService(Transport(service.url, None, patience=HASTY)), references)
        for end in (1, 2):
            with direct.blob("ab", end=end) as response:
                assert response.read() == b"content"[:end]
        assert len(service.asked) == 1
        references.known["ab"] = references.known["ab"]._replace(until=0.0)
        with direct.blob("ab", start=3) as response:
            assert response.read() == b"tent"
        direct.close()
    assert len(service.asked) == 2


def test_a_service_that_refers_nobody_is_asked_once(tmp_path: Path) -> None:
    with tree_peer() as service:
        service.blobs.update(ab=b"one", cd=b"two")
        direct = Direct(TreeService(Transport(service.url, None, patience=HASTY)), References())
        for name in ("ab", "cd"):
            with direct.blob(name) as response:
                assert response.read() == service.blobs[name]
        direct.close()
    assert sum("redirect" in asked for asked in service.asked) == 1
