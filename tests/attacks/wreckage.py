"""What must be left of a forged tree: nothing that anybody could use."""

from __future__ import annotations

import httpx2

from tests.attacks.remains import remains
from tests.service import Service
from tests.trees.shapes import Tree


def nothing_of_it(service: Service) -> None:
    """No location, no layout, no receipt for a tree."""
    left = remains(service.folder / "data")
    assert left.rows["location"] == left.rows["pack"] == left.rows["tree_part"] == frozenset()
    assert left.keys("projects/default/layouts/") == left.keys("projects/default/receipts/tree/") == []


async def outcome(service: Service, client: httpx2.AsyncClient, tree: Tree) -> str:
    """What a worker makes of `tree`; whatever it is, nothing of the tree can be had."""
    await service.check_trees()
    page = (await client.get(tree.url)).json()
    for path in ("/layout", "?as=tar"):
        assert (await client.get(f"{tree.url}{path}")).status_code == 404
    assert "layout" not in page
    state: str = page["state"]
    return state
