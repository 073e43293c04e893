"""Where an artifact came from, and where it went."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from artifacts.digest import Digest
from artifacts.limits import MAX_LINEAGE_STEPS
from artifacts.queries import attestations, lineage, links
from artifacts.queries.attestations import AttestationRow
from artifacts.queries.lineage import TracedRef, TracedStep
from artifacts.queries.links import Bounds

_LEVELS_AT_ONCE = 4
"""A statement meets a step once at each distance: more levels are fewer statements, and more rows."""
_MOST_ROWS = 4096
"""Rows that one statement of a walk may look at before the next one goes on."""
_MAX_REFS = 20_000
"""Inputs of all steps of one trace together, and likewise outputs."""


@dataclass(frozen=True, slots=True)
class TracedLevel:
    """A step met while tracing, how far from the start, and what it touched."""

    step: TracedStep
    level: int
    inputs: tuple[TracedRef, ...]
    outputs: tuple[TracedRef, ...]
    attestations: tuple[AttestationRow, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps around an artifact, nearest first; `truncated` when there were more steps or references."""

    steps: tuple[TracedLevel, ...]
    truncated: bool


async def trace(
    connection: AsyncConnection,
    project: str,
    root: Digest,
    *,
    up: bool,
    depth: int,
    most_refs: int = _MAX_REFS,
) -> Trace:
    """Follow the artifact `root` through at most `depth` levels of steps.

    Up: the steps that made it, those that made what they used, and so on. Down: the
    steps that used it, and what was made from their outputs. Each step is met once, at
    its nearest level, so circles end by themselves.
    """
    levels, truncated = await walk(connection, project, root, up=up, depth=depth)
    ids = list(levels)
    inputs = await lineage.inputs(connection, project, ids, limit=most_refs + 1)
    outputs = await lineage.outputs(connection, project, ids, limit=most_refs + 1)
    # Whoever asks what an artifact was made from must learn that the list is not whole.
    truncated = truncated or max(len(inputs), len(outputs)) > most_refs
    steps = await _described(connection, project, levels, inputs[:most_refs], outputs[:most_refs])
    return Trace(steps, truncated)


async def walk(
    connection: AsyncConnection,
    project: str,
    root: Digest,
    *,
    up: bool,
    depth: int,
    most_rows: int = _MOST_ROWS,
) -> tuple[dict[str, int], bool]:
    """The level of each step that `trace` meets, nearest first, and whether there were more."""
    start = lineage.makers if up else lineage.users
    found = await start(connection, project, root, limit=MAX_LINEAGE_STEPS + 1)
    levels: dict[str, int] = dict.fromkeys(found[:MAX_LINEAGE_STEPS], 1)
    truncated = len(found) > MAX_LINEAGE_STEPS
    frontier, reached = list(levels), 1
    while frontier and reached < depth and not truncated:
        far = min(depth - reached, _LEVELS_AT_ONCE)
        bounds = Bounds(far, len(levels) + MAX_LINEAGE_STEPS, most_rows)
        near = await links.near(connection, project, frontier, bounds, up=up)
        new = [id_ for id_ in near if id_ not in levels]
        room = MAX_LINEAGE_STEPS - len(levels)
        truncated = len(new) > room
        levels |= {id_: reached + near[id_] for id_ in new[:room]}
        reached += max(near.values(), default=depth)
        frontier = [id_ for id_, level in levels.items() if level == reached]
    return levels, truncated


async def _described(
    connection: AsyncConnection,
    project: str,
    levels: dict[str, int],
    consumed: list[TracedRef],
    produced: list[TracedRef],
) -> tuple[TracedLevel, ...]:
    ids = list(levels)
    inputs, outputs = _grouped(consumed), _grouped(produced)
    signed: dict[str, list[AttestationRow]] = {}
    for row in await attestations.of_steps(connection, project, ids):
        signed.setdefault(row.step, []).append(row)
    described = [
        TracedLevel(
            step=step,
            level=levels[step.id],
            inputs=tuple(inputs.get(step.id, ())),
            outputs=tuple(outputs.get(step.id, ())),
            attestations=tuple(signed.get(step.id, ())),
        )
        for step in await lineage.details(connection, project, ids)
    ]
    return tuple(sorted(described, key=lambda one: (one.level, one.step.id)))


def _grouped(refs: list[TracedRef]) -> dict[str, list[TracedRef]]:
    grouped: dict[str, list[TracedRef]] = {}
    for ref in refs:
        grouped.setdefault(ref.step, []).append(ref)
    return grouped
