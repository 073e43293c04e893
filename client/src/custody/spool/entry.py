"""One step in the spool, as it is written and read back."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from custody.errors import ContentError
from custody.evidence.errors import MalformedJsonError
from custody.ids import is_ulid
from custody.strict_json import loads
from custody.wire import encode

FORM = "custody-spool/v1"
FILE = "entry.json"
MAX_ENTRY = 64 * 1024 * 1024
_HEX = re.compile(r"[0-9a-f]{64}")


TREE = "application/vnd.custody.tree.v1"


@dataclass(frozen=True, slots=True)
class Made:
    """An output. `here` says that its bytes lie in the entry, under their sha256."""

    name: str
    sha256: str
    size: int
    role: str
    here: bool
    more: dict[str, Any] = field(default_factory=dict)  # Any: further members of the reference, JSON

    @property
    def is_tree(self) -> bool:
        """Whether it is a directory."""
        return self.more.get("mediaType") == TREE

    def reference(self) -> dict[str, object]:
        """Return the output as a reference, for bytes that the service has."""
        return {**self.more, "name": self.name, "digest": {"sha256": self.sha256}}


@dataclass(frozen=True, slots=True)
class Entry:
    """All that is known of a step, from begin to finish.

    `begin` is the request that began it, with the hash of the step's token and never the
    token itself. `record` is the id that the step gets if it has to be delivered whole,
    chosen once so that a repeated delivery finds the first.
    """

    id: str
    record: str
    service: str
    begin: dict[str, Any]  # Any: the JSON of requests, here and below
    run: dict[str, str] | None
    inputs: list[dict[str, Any]]
    outputs: list[Made]
    ending: dict[str, Any]
    kept_at: str

    def written(self) -> bytes:
        """Return the content of `entry.json`."""
        return encode({"spool": FORM, **asdict(self)})

    def total(self) -> int:
        """Return how many bytes its outputs have."""
        return sum(one.size for one in self.outputs if one.here)


def tree_folder(sha256: str) -> str:
    """Return the name of the copy of a directory in an entry."""
    return f"tree-{sha256}"


def read_entry(folder: Path) -> Entry:
    """Read the step that lies in `folder`.

    Raises:
        ContentError: It is no entry of ours, or a damaged one.
    """
    try:
        found = os.open(folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(found, "rb") as stream:
            content = stream.read(MAX_ENTRY + 1)
        members = loads(content, max_bytes=MAX_ENTRY)
        entry = _entry(members)
    except OSError as error:
        raise ContentError(f"{folder / FILE}: {error.strerror}") from error
    except (MalformedJsonError, TypeError, KeyError, ValueError) as error:
        raise ContentError(f"{folder / FILE} is damaged, or of another version: {error}") from error
    if entry.id != folder.name:
        raise ContentError(f"{folder / FILE} belongs to another step")
    return entry


def _entry(members: Any) -> Entry:  # Any: JSON, narrowed here
    if not isinstance(members, dict) or members.pop("spool", None) != FORM:
        raise ValueError("not this form")
    if set(members) != {one.name for one in fields(Entry)}:
        raise ValueError("other members than expected")
    made = [Made(**one) for one in members.pop("outputs")]
    entry = Entry(**members, outputs=made)
    if not is_ulid(entry.id) or not is_ulid(entry.record):
        raise ValueError("not an id")
    if not all(_HEX.fullmatch(one.sha256) for one in made):
        # It is the name of a file here: it must not lead anywhere else.
        raise ValueError("not a digest")
    if not all(isinstance(one, Mapping) for one in (entry.begin, entry.ending, *entry.inputs)):
        raise ValueError("not a request")
    return entry
