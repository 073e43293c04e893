"""Showing results on the terminal, and writing `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.places import machine
from benchmarks.results import Result, plain

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

_TRIED = Path(__file__).with_name("tried.md")
"""What was tried where a bar is missed: written by hand, with its own figures."""

_HEAD = """# Benchmarks

`make bench` measures each job of this page beside its peer, interleaved in one run on one machine, so that only the ratio counts. A number stands here with the machine, the file system and the versions it was measured on, or not at all.

Values are medians of so many rounds as the row says, with the smallest and largest in brackets; the ratio is ours over the peer's. The table and its notes are written by the run itself; what follows below them, under *What was tried*, is written by hand: other runs on the same machine, while the designs were made, measured as each part says and not again since. The rows on memory take 200,000 files by default, and as many as `BENCH_MEMORY_ENTRIES` says; those on growth go up to a million artifacts, or to `BENCH_GROWTH_ARTIFACTS`.
"""


def line(result: Result) -> str:
    """One result for the terminal."""
    lines = [
        f"{result.name}: {result.work} [{result.place}]",
        f"  ours  {result.ours.label}: {result.ours}",
        f"  peer  {result.peer.label}: {result.peer}",
        f"  ratio {plain(result.ratio)} x, {result.verdict.replace('**', '')}",
    ]
    return "\n".join([*lines, *(f"  {note}" for note in result.notes)])


def page(results: Sequence[Result], *, command: str) -> str:
    """The whole page."""
    rows = [
        "| what | work | file system | rounds | ours | peer | ratio | bar |",
        "|---|---|---|---|---|---|---|---|",
        *map(_row, results),
    ]
    notes = [f"- {result.name} on {result.place}: {note}." for result in results for note in result.notes]
    facts = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with `{command}`: {machine()}. "
        "`none` as file system means that no file is touched."
    )
    return "\n".join([_HEAD, facts, "", *rows, "", *notes, "", _TRIED.read_text()])


def _row(result: Result) -> str:
    cells = [
        result.name,
        result.work,
        result.place,
        str(len(result.ours.samples)),
        f"{result.ours.label}: {result.ours}",
        f"{result.peer.label}: {result.peer}",
        f"{plain(result.ratio)} x",
        result.verdict,
    ]
    return f"| {' | '.join(cells)} |"
