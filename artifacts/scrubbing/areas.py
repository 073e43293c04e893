"""What a scrub looks at: every folder of the bucket in which finished objects lie, a slice at a time.

The names of one slice are held together, beside those that the index expects there, so that
what is missing is noticed. Slices come in the order of their keys, and so do the keys in them:
one key tells how far a scrub has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from artifacts import named_keys
from artifacts.digest import Digest
from artifacts.layout import Key
from artifacts.named_keys import Kind

BUNDLE: Final = "bundle"
CONTROL: Final = "control object"
NAMES_AT_ONCE: Final = 10_000
"""About so many names are held together, where the names begin with digests."""
_MOST_DIGITS: Final = 2
_FOLDERS: Final = (
    ("blobs/sha256/", Kind.BLOB, ""),
    ("journal/", Kind.JOURNAL, None),
    ("layouts/sha256/", Kind.LAYOUT, ""),
    ("receipts/api/sha256/", Kind.RECEIPT, "api"),
    ("receipts/tree/sha256/", Kind.TREE_RECEIPT, "tree"),
    ("receipts/worker/sha256/", Kind.RECEIPT, "worker"),
    ("records/", Kind.SEGMENT, None),
    ("refusals/", Kind.REFUSAL, None),
    ("trees/sha256/", Kind.MANIFEST, ""),
)
"""The folders of a project in the order of their names; None where the names begin with no digest."""


@dataclass(frozen=True, slots=True)
class Area:
    """The objects whose keys begin with `prefix`; all are of one kind."""

    prefix: str
    kind: str
    project: str | None = None
    detail: str | None = None
    """The kind of receipts; None where names do not begin with a digest."""
    digits: str = ""
    """How the digests in the names begin."""

    @property
    def first(self) -> bytes:
        """The least digest that may lie here."""
        return bytes.fromhex(self.digits.ljust(64, "0"))

    @property
    def last(self) -> bytes:
        """The greatest one."""
        return bytes.fromhex(self.digits.ljust(64, "f"))

    def is_before(self, key: str) -> bool:
        """Whether every key of this area comes before `key`."""
        return self.prefix < key and not key.startswith(self.prefix)

    def sliced(self, names: int) -> Iterator[Area]:
        """This area in so many slices that each has a bounded number of its `names`."""
        count = 0
        while self.detail is not None and count < _MOST_DIGITS and names > NAMES_AT_ONCE * 16**count:
            count += 1
        for number in range(16**count):
            digits = f"{number:0{count}x}" if count else ""
            # Blobs and the like lie in folders of two digits, bundles all in one.
            folder = f"{digits}/" if count == _MOST_DIGITS and self.project is not None else digits
            yield Area(f"{self.prefix}{folder}", self.kind, self.project, self.detail, digits)


def shared() -> Iterator[Area]:
    """What lies beside the projects."""
    yield Area("attestations/sha256/", BUNDLE, detail="")
    yield Area("control/", CONTROL)


def of_project(project: str) -> Iterator[Area]:
    """What lies in one project."""
    for folder, kind, detail in _FOLDERS:
        yield Area(f"projects/{project}/{folder}", kind, project, detail)


@dataclass(frozen=True, slots=True)
class Item:
    """One object, and what its name says of it."""

    key: Key
    kind: str
    project: str | None = None
    digest: Digest | None = None
    detail: str = ""
    size: int | None = None
    """As it was listed."""


def item_of(key: Key) -> Item | None:
    """What `key` names, or None where nothing of ours has such a name."""
    if str(key).startswith("control/"):
        return Item(key, CONTROL)
    bundle = named_keys.bundle(key)
    if bundle is not None:
        return Item(key, BUNDLE, digest=bundle)
    named = named_keys.named(key)
    if named is None:
        return None
    return Item(key, named.kind, named.project, named.digest, named.detail)
