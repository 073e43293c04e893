"""Packs come from the object store where the service refers to it, and from the service where not."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import pytest

from custody.nodestore.store import NodeStore
from custody.transport import Transport
from custody.trees.direct import Direct, References
from custody.trees.remote import TreeService
from custody.trees.restore import Options, restore
from custody.trees.source import Source
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


@pytest.mark.parametrize("what", ["nothing there", "nobody there", "no address", "no port"])
def test_a_store_that_gives_nothing_is_done_without(what: str, tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        places = {
            "nothing there": store.url,
            "nobody there": f"http://127.0.0.1:{unused.getsockname()[1]}",
            "no address": "gopher://store",
            "no port": "http://store:port",
        }
        tree = a_tree(service)
        service.refer_to = places[what]
        assert fetched(service, tree, tmp_path / "out") == CONTENT
    assert sum("redirect=1" in asked for asked in service.asked) == 1


def test_what_a_store_forges_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with tree_peer() as service, tree_peer() as store:
        tree = a_tree(service)
        store.blobs = {sha256: bytes(len(pack)) for sha256, pack in service.blobs.items()}
        service.refer_to = store.url
        with pytest.raises(Exception, match="frame"):
            fetched(service, tree, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


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
