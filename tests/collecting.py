"""Bytes to be collected: sent without a name, with one, or as a tree."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from artifacts.digest import Digest
from tests.service import Service, reference
from tests.trees.shapes import a_pack, a_tree, send

DAY = 86_400
BYTES = {"Content-Type": "application/octet-stream"}


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def unnamed(service: Service, content: bytes, project: str = "default") -> Digest:
    """Bytes that a step sent and never named."""
    taken, _ = await service.parts.recorder.receive_blob(
        project, pieces(content), declared=None, by_step=True
    )
    return taken.digest


async def named(client: httpx2.AsyncClient, content: bytes, name: str = "") -> str:
    """Bytes that a project uploaded, and the name it gave them."""
    answer = await client.post("/v1/blobs/uploads", content=content, headers=BYTES)
    assert answer.status_code in {200, 201}, answer.text
    if name:
        said = reference(content, uri="https://example.com/x", name=name)
        assert (await client.post("/v1/artifacts", json=said)).status_code == 201
    digest: str = answer.json()["digest"]
    return digest


async def is_here(client: httpx2.AsyncClient, digest: Digest | str) -> bool:
    """Whether the bytes are given out."""
    status = (await client.get(f"/v1/blobs/{digest}")).status_code
    assert status in {200, 404}
    return status == 200


def keys(service: Service, project: str = "default") -> list[str]:
    """All that lies in the bucket of a project, receipts too."""
    root = service.folder / "data" / "objects" / "projects" / project
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def present_tree(service: Service, client: httpx2.AsyncClient) -> str:
    """A tree with a pack, both sent by the project."""
    tree = a_tree()
    await send(client, tree, a_pack())
    await service.read_back()
    await service.check_trees()
    assert (await client.get(tree.url)).json()["state"] == "present"
    return tree.url
