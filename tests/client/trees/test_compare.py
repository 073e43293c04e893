"""What differs between two trees, however large they are."""

from __future__ import annotations

import hashlib
from array import array
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from custody.trees.compare import Side, differences, listing
from custody.trees.manifest import FOLDER, Manifest, build

_TREES = st.dictionaries(
    st.binary(min_size=1, max_size=2).map(bytes.hex), st.sampled_from("ab-"), max_size=30
)


def _tree(plan: dict[str, str]) -> Manifest:
    """Make a tree of files with one of two contents, and empty directories."""
    rows = sorted((name.encode() + b" %", content) for name, content in plan.items())
    kinds = bytes(FOLDER if content == "-" else 0 for _, content in rows)
    raws = [bytes(32) if one == "-" else hashlib.sha256(one.encode()).digest() for _, one in rows]
    sizes = array("Q", (one != "-" for _, one in rows))
    return build(kinds, sizes, b"".join(raws), [path for path, _ in rows])


def _side(content: str | None) -> Side | None:
    if content is None:
        return None
    digest = None if content == "-" else f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    return Side("755 d" if content == "-" else "644 f", digest, int(content != "-"))


@given(_TREES, _TREES, st.sampled_from([0, 5, 1000]))
def test_every_difference_is_told_once_in_order_also_where_trees_lie_in_files(
    before: dict[str, str], after: dict[str, str], in_memory: int
) -> None:
    expected = [
        (name.encode() + b" %", _side(before.get(name)), _side(after.get(name)))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    sides = (listing(_tree(each), in_memory=in_memory) for each in (before, after))
    with closing(next(sides)) as one, closing(next(sides)) as other:
        for _ in range(2):
            found = [(each.path, each.before, each.after) for each in differences(one, other)]
            assert found == expected
