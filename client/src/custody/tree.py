"""A lineage answer, drawn as a tree: an artifact, the step that made it, its inputs, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from custody.terminal import paint, plain
from custody.wire import Document, listed, text

_MARKS = {"succeeded": ("✓", "green"), "failed": ("✗", "red")}


@dataclass(slots=True)
class Drawing:
    """What is known while a tree is drawn: who leads on from a digest, and what was shown."""

    leads: dict[str, list[Document]]
    forward: str
    stream: TextIO
    shown: set[str] = field(default_factory=set)

    def below(self, digest: str, indent: str) -> Iterator[str]:
        """Yield the lines under the artifact `digest`."""
        steps = self.leads.get(digest, [])
        for position, step in enumerate(steps):
            branch, deeper = _branch(indent, last=position == len(steps) - 1)
            step_id = text(step, "id")
            again = step_id in self.shown
            yield branch + self._step(step) + (" (shown above)" if again else "")
            if not again:
                self.shown.add(step_id)
                yield from self._artifacts(step, deeper)

    def _artifacts(self, step: Document, indent: str) -> Iterator[str]:
        found = listed(step, self.forward)
        for position, artifact in enumerate(found):
            branch, deeper = _branch(indent, last=position == len(found) - 1)
            yield branch + label(artifact)
            yield from self.below(text(artifact, "digest"), deeper)

    def _step(self, step: Document) -> str:
        mark, colour = _MARKS.get(text(step, "outcome"), ("?", "yellow"))
        signed = "signed" if listed(step, "attestations") else "not signed"
        parts = [text(step, "outcome") or "unfinished", signed, text(step, "id")]
        name = plain(text(step, "name"))
        return f"{paint(mark, colour, on=self.stream)} step {name} · " + " · ".join(map(plain, parts))


def draw(lineage: Document, *, stream: TextIO) -> Iterator[str]:
    """Yield the lines of the tree that `lineage` describes."""
    down = text(lineage, "direction") == "down"
    behind, forward = ("inputs", "outputs") if down else ("outputs", "inputs")
    leads: dict[str, list[Document]] = {}
    for step in listed(lineage, "steps"):
        # A step that has one digest under two names still is one step.
        for digest in dict.fromkeys(text(artifact, "digest") for artifact in listed(step, behind)):
            leads.setdefault(digest, []).append(step)
    root = text(lineage, "root")
    yield _root(root, leads.get(root, []), behind)
    yield from Drawing(leads, forward, stream).below(root, "")
    if lineage.get("truncated"):
        yield "… more than was asked for lies further on; see --depth"


def label(artifact: Document) -> str:
    """Return an artifact on one line: its digest, and what it is called or where it lives."""
    named = text(artifact, "name") or text(artifact, "uri")
    return f"{short(text(artifact, 'digest'))}  {plain(named)}".rstrip()


def short(digest: str) -> str:
    """Return `digest` cut to what a reader compares; it stays a prefix of the whole."""
    algorithm, _, value = plain(digest).partition(":")
    return f"{algorithm}:{value[:16]}…" if len(value) > 17 else f"{algorithm}:{value}"


def _root(root: str, steps: list[Document], behind: str) -> str:
    for step in steps:
        for artifact in listed(step, behind):
            if text(artifact, "digest") == root and text(artifact, "name"):
                return f"{plain(root)}  {plain(text(artifact, 'name'))}"
    return plain(root)


def _branch(indent: str, *, last: bool) -> tuple[str, str]:
    return (f"{indent}└─ ", f"{indent}   ") if last else (f"{indent}├─ ", f"{indent}│  ")
