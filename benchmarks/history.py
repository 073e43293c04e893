"""A git repository such as large projects have: the same seed gives the same commits."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 20_261_122
_AVERAGE = 9_000
_SUFFIXES = (".go", ".py", ".yaml", ".md", ".json", ".proto")
_SHAPES = (
    "{} := {}.{}({}, {})\n",
    "if {} != nil && {}.{} {{ return {} }}\n",
    "// {} {} {} the {} of {}\n",
    'self.{} = {}("{}", {}={})\n',
    "  {}: {}-{}/{}\n",
    "func ({} *{}) {}({} {}) error {{\n",
    "}}\n",
)
_SYLLABLES = ("ta", "sk", "run", "pipe", "con", "fig", "er", "or", "ref", "ob", "ject", "name", "val", "id")


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a repository is made."""

    files: int
    folders: int
    commits: int


def build(repository: Path, shape: Shape) -> None:
    """Make the bare `repository`, packed as a server that is cared for has it."""
    repository.parent.mkdir(parents=True, exist_ok=True)
    git(repository.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(repository))
    with subprocess.Popen(
        ["git", "fast-import", "--quiet", "--done"], cwd=repository, stdin=subprocess.PIPE
    ) as importing:
        assert importing.stdin is not None
        for piece in stream(shape):
            importing.stdin.write(piece)
        importing.stdin.close()
    if importing.returncode:
        raise RuntimeError("git fast-import failed")
    git(repository, "repack", "-a", "-d", "--quiet", "--write-bitmap-index")


def git(at: Path, *arguments: str) -> str:
    """Run git there and return what it says."""
    return subprocess.run(["git", *arguments], cwd=at, check=True, capture_output=True, text=True).stdout


def export(repository: Path, commit: str, target: Path) -> None:
    """Write the files of `commit` to the new directory `target`, without a repository."""
    target.mkdir(parents=True)
    with subprocess.Popen(
        ["git", "archive", "--format=tar", commit], cwd=repository, stdout=subprocess.PIPE
    ) as archive:
        subprocess.run(["tar", "-x", "-C", str(target)], stdin=archive.stdout, check=True)
    if archive.returncode:
        raise RuntimeError("git archive failed")


def write(root: Path, shape: Shape) -> None:
    """Write the files of the first commit to the new directory `root`, without git."""
    for path, lines in _first(random.Random(SEED), shape)[1].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("".join(lines))


def stream(shape: Shape) -> Iterator[bytes]:
    """Yield what `git fast-import` reads: all files in the first commit, then small changes."""
    chance = random.Random(SEED)
    text, files = _first(chance, shape)
    yield _commit(0, files)
    names = list(files)
    for number in range(1, shape.commits):
        # Large files change more often: the longer of two is taken.
        pairs = (chance.choices(names, k=2) for _ in range(chance.randrange(1, 13)))
        changed = {max(pair, key=lambda name: len(files[name])) for pair in pairs}
        for name in changed:
            lines = files[name]
            lines[chance.randrange(len(lines))] = text.fresh()
        yield _commit(number, {name: files[name] for name in sorted(changed)})
    yield b"done\n"


def _first(chance: random.Random, shape: Shape) -> tuple[_Text, dict[str, list[str]]]:
    text = _Text(chance)
    return text, {path: text.lines(_size(chance)) for path in _paths(chance, shape)}


def _commit(number: int, files: dict[str, list[str]]) -> bytes:
    # Nobody names a parent: the branch goes on from its tip.
    parts = [
        b"commit refs/heads/main\ncommitter a project <project@example.com> %d +0000\n"
        % (1_600_000_000 + 3600 * number),
        b"data 6\nchange\n",
    ]
    for name, lines in files.items():
        content = "".join(lines).encode()
        parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content))
    return b"".join(parts)


def _paths(chance: random.Random, shape: Shape) -> list[str]:
    folders = [""]
    for number in range(shape.folders):
        # Nearer directories have more below them, as in real trees.
        above = folders[int(len(folders) * chance.random() ** 2)]
        folders.append(f"{above}pkg{number:04}/" if above.count("/") < 8 else f"x{number}/")
    return [
        f"{folders[-1 - number % len(folders)]}file{number:05}{chance.choice(_SUFFIXES)}"
        for number in range(shape.files)
    ]


def _size(chance: random.Random) -> int:
    # Log-normal: the median is a half of the average, and a few files are large.
    return max(40, min(int(_AVERAGE / 2 * chance.lognormvariate(0, 1.2)), 300_000))


class _Text:
    """Lines that compress as source code does: many are known, some are new."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._words = ["".join(chance.choices(_SYLLABLES, k=chance.randrange(1, 5))) for _ in range(4_000)]
        self._known = [self.fresh() for _ in range(6_000)]

    def fresh(self) -> str:
        """A line that was hardly written before."""
        chance = self._chance
        shape = chance.choice(_SHAPES)
        words = [self._words[int(len(self._words) * chance.random() ** 2)] for _ in range(shape.count("{}"))]
        return "\t" * chance.randrange(4) + shape.format(*words)

    def lines(self, size: int) -> list[str]:
        """Lines of `size` bytes and a little more."""
        chance, known = self._chance, self._known
        found: list[str] = []
        written = 0
        while written < size:
            kind = chance.random()
            if kind < 0.35 and found:
                line = chance.choice(found[-20:])
            elif kind < 0.95:
                line = known[int(len(known) * chance.random() ** 3)]
            else:
                line = self.fresh()
            found.append(line)
            written += len(line)
        return found
