"""What an object is, told by its name alone: the reverse of `layout`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from artifacts import layout
from artifacts.control import EventName, RemovalName
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError
from artifacts.layout import Key


class Kind(StrEnum):
    """The kinds of objects of a project."""

    BLOB = "blob"
    RECEIPT = "receipt"
    TREE_RECEIPT = "tree receipt"
    MANIFEST = "manifest"
    LAYOUT = "layout"
    SEGMENT = "segment"
    JOURNAL = "journal"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class Named:
    """An object of a project, and what its name says of it."""

    key: Key
    kind: Kind
    project: str
    digest: Digest
    detail: str = ""
    """The kind of a receipt, or the id that the name of a file of lines begins with."""


_PROJECT: Final = re.compile(r"projects/([a-z0-9][a-z0-9-]{0,62})/([a-z]+)/(.+)")
_SHARDED: Final = re.compile(r"(?:(api|worker|tree)/)?sha256/../../([0-9a-f]{64})(?:\.json|\.zst)?")
_LINES: Final = re.compile(
    r"\d{4}/\d\d/([0-7][0-9A-HJKMNP-TV-Z]{25})-([0-9a-f]{64})(?:-[0-9a-f]{64})?\.ndjson"
)
_REFUSED: Final = re.compile(r"([0-7][0-9A-HJKMNP-TV-Z]{25})-([0-9a-f]{64})\.json")
_FOLDERS: Final = {
    "blobs": Kind.BLOB,
    "trees": Kind.MANIFEST,
    "layouts": Kind.LAYOUT,
    "records": Kind.SEGMENT,
    "journal": Kind.JOURNAL,
}
_TOMBSTONE: Final = re.compile(r"control/tombstones/([^/]+)/([^/]+)/([0-9a-f]{64})/([0-9]{8})\.json")
_HOLD: Final = re.compile(r"control/holds/([^/]+)/([0-9a-f]{64})/([^/]+)\.json")
_BUNDLE: Final = re.compile(r"attestations/sha256/([0-9a-f]{64})\.json")


def named(key: Key) -> Named | None:
    """What `key` is in its project, or None where nothing of ours has such a name."""
    parts = _PROJECT.fullmatch(str(key))
    if parts is None:
        return None
    project, folder, rest = parts.groups()
    if folder in {"records", "journal"}:
        return _of_lines(key, project, _FOLDERS[folder], rest)
    if folder == "refusals":
        return _refusal(key, project, rest)
    found = _SHARDED.fullmatch(rest)
    if found is None:
        return None
    one = _sharded(key, project, folder, found)
    return one if one is not None and _spelled(one) == key else None


def _of_lines(key: Key, project: str, kind: Kind, rest: str) -> Named | None:
    found = _LINES.fullmatch(rest)
    return None if found is None else Named(key, kind, project, Digest("sha256", found[2]), found[1])


def _refusal(key: Key, project: str, rest: str) -> Named | None:
    found = _REFUSED.fullmatch(rest)
    return None if found is None else Named(key, Kind.REFUSAL, project, Digest("sha256", found[2]), found[1])


def _sharded(key: Key, project: str, folder: str, found: re.Match[str]) -> Named | None:
    digest = Digest("sha256", found[2])
    if folder == "receipts" and found[1] is not None:
        kind = Kind.TREE_RECEIPT if found[1] == "tree" else Kind.RECEIPT
        return Named(key, kind, project, digest, found[1])
    kind_of = _FOLDERS.get(folder)
    return None if kind_of is None else Named(key, kind_of, project, digest)


def _spelled(one: Named) -> Key:
    """The key that `layout` gives an object of that kind: shards and endings included."""
    if one.kind is Kind.BLOB:
        return layout.blob(one.project, one.digest)
    if one.kind is Kind.MANIFEST:
        return layout.manifest(one.project, one.digest)
    if one.kind is Kind.LAYOUT:
        return layout.tree_layout(one.project, one.digest)
    return layout.receipt(one.project, one.digest, one.detail)


def bundle(key: Key) -> Digest | None:
    """The digest that the name of a bundle tells, or None where it is no such name."""
    found = _BUNDLE.fullmatch(str(key))
    return None if found is None else Digest("sha256", found[1])


def decision(key: Key) -> RemovalName | EventName | None:
    """The removal or the word about a hold that `key` names, or None where it is no such name."""
    removed, held = _TOMBSTONE.fullmatch(str(key)), _HOLD.fullmatch(str(key))
    try:
        if removed is not None:
            return RemovalName(removed[1], removed[2], Digest("sha256", removed[3]), int(removed[4]))
        if held is not None:
            return EventName(held[1], Digest("sha256", held[2]), held[3])
    except InvalidInputError:
        return None
    return None
