"""What answers about trees carry; the other half of `docs/http.md`."""

from __future__ import annotations

from api.answers import Answer
from artifacts.trees.manifest import Entry, escaped
from artifacts.trees.states import TreeRow


class TreeAnswer(Answer):
    """A tree, and how far its bytes are known."""

    digest: str
    state: str
    reason: str | None = None
    entries: int
    size: int
    layout: str | None = None
    missing: list[str] | None = None

    @classmethod
    def of(cls, row: TreeRow) -> TreeAnswer:
        """Describe `row`."""
        return cls(
            digest=str(row.digest),
            state=row.state,
            reason=row.reason,
            entries=row.entries,
            size=row.size,
            layout=None if row.layout is None else str(row.layout),
            missing=list(row.missing) or None,
        )


class TreeOutputAnswer(TreeAnswer):
    """A tree that is an output of a step."""

    name: str


class EntryAnswer(Answer):
    """An entry of a tree; its path is written as in the manifest."""

    path: str
    mode: str
    type: str
    size: int
    digest: str | None = None

    @classmethod
    def of(cls, entry: Entry) -> EntryAnswer:
        """Describe `entry`."""
        return cls(
            path=escaped(entry.path).decode(),
            mode=entry.mode,
            type=entry.kind,
            size=entry.size,
            digest=f"sha256:{entry.digest.hex()}" if entry.digest else None,
        )


class EntriesAnswer(Answer):
    """A page of the entries of a tree."""

    entries: list[EntryAnswer]
