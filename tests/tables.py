"""Tables in docs/reliability.md that a command writes: each stands between two lines that name it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as the page has it."""
    named, *lines = [f"| {' | '.join(str(cell) for cell in line)} |\n" for line in (head, *rows)]
    return "".join([named, "|", "---|" * len(head), "\n", *lines])


def standing(command: str) -> str:
    """What stands in the page between the lines of `command`."""
    return _parts(command)[1]


def write(command: str, text: str) -> None:
    """Put `text` between the lines of `command`."""
    before, _, after = _parts(command)
    PAGE.write_text(before + text + after, encoding="utf-8")


def _parts(command: str) -> tuple[str, str, str]:
    begin, end = f"<!-- written by {command} -->\n", f"<!-- end of {command} -->\n"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    between, _, after = rest.partition(end)
    return before + begin, between, end + after
