"""What the house rules look at: the files of this work tree, read once."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICE_ROOMS = ("api", "artifacts", "provenance", "migrations")


@cache
def files() -> tuple[Path, ...]:
    """Give every file that is tracked or about to be, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(sorted(path for path in map(Path, listed.split("\0")) if (ROOT / path).is_file()))


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Give the files whose name ends so, with their text."""
    for path in files():
        if path.name.endswith(suffixes):
            yield path, (ROOT / path).read_text(encoding="utf-8", errors="replace")


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Give every Python file, parsed."""
    return tuple((path, ast.parse(text, filename=str(path))) for path, text in texts(".py"))


def imports(module: ast.Module) -> Iterator[str]:
    """Give the full name of everything a module imports, wherever the import stands."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module


def read(path: str) -> str:
    """Read a file of the tree."""
    return (ROOT / path).read_text(encoding="utf-8")


def headings(path: str) -> set[str]:
    """Give the headings of a Markdown page, without their marks and backticks."""
    lines = read(path).splitlines()
    return {line.lstrip("#").strip().strip("`") for line in lines if line.startswith("#")}
