"""Count equal lines, most frequent first."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator


def counted(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Give each different line with how often it came, most frequent first, then by text."""
    counts = Counter(line.rstrip("\n") for line in lines)
    for line, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
        yield count, line


def main() -> int:
    """Count the lines of standard input."""
    for count, line in counted(sys.stdin):
        sys.stdout.write(f"{count} {line}\n")
    return 0
