"""The most memory that a command takes for a tree of very many files, beside an interpreter that does nothing.

A command that forks counts with all its processes. `BENCH_MEMORY_ENTRIES` says how many files,
200,000 by default. The bar is for a million, and nothing is held against it below that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.commands import environment
from benchmarks.peaks import peak
from benchmarks.places import file_system
from benchmarks.results import Bar, Measured, Result
from benchmarks.rounds import Scale
from benchmarks.servers import Service, all_three
from benchmarks.startup import command

VARIABLE = "BENCH_MEMORY_ENTRIES"
LIMIT = 300.0
_ENTRIES = 200_000
_FOR = 1_000_000
_IN_ONE = 500
# Seven of ten, by their last digit; by a program whose own memory is hardly worth counting.
_REWRITE = """
import os
for folder in os.scandir():
    for file in os.scandir(folder.path):
        if file.name[-5] < "7":
            with open(file.path, "ab") as stream:
                stream.write(b"and more")
"""


def measure(scale: Scale) -> list[Result]:
    """Put a tree, put it again, list it, compare it, get it, and run a command that changes most of it."""
    count = int(os.environ.get(VARIABLE, min(_ENTRIES, scale.files * 20)))
    top = Path(tempfile.mkdtemp(prefix="memory-", dir=scale.directory))
    try:
        root, empty = top / "tree", top / "empty"
        write(root, count)
        empty.mkdir()
        with all_three(top / "service") as service:
            return _measured(top, count, service, file_system(top))
    finally:
        shutil.rmtree(top)


def _measured(top: Path, count: int, service: Service, place: str) -> list[Result]:
    env, tree = environment(service, top), str(top / "tree")
    found = {"custody put": peak([command(), "put", tree], env)}
    done = subprocess.run([command(), "put", tree], env=env, check=True, capture_output=True, text=True)
    digest = done.stdout.split()[0]
    found["custody put, again"] = peak([command(), "put", tree], env)
    found["custody ls --json"] = peak([command(), "ls", "--json", digest], env)
    found["custody diff --json with nothing"] = peak(
        [command(), "diff", "--json", digest, str(top / "empty")], env, expected=1
    )
    found["custody get"] = peak([command(), "get", digest, str(top / "got")], env)
    # The command of the step counts too: it runs while `custody run` remembers every file.
    rewriting = [command(), "run", "--", sys.executable, "-I", "-S", "-c", _REWRITE]
    found["custody run, seven of ten files rewritten"] = peak(rewriting, env, cwd=top / "tree")
    bare = peak([sys.executable, "-c", "pass"], env)
    return [
        Result(
            "memory",
            f"a tree of {count:,} files, all processes of the command",
            Measured(label, (taken,), "MiB"),
            Measured("python -c pass", (bare,), "MiB"),
            place,
            [Bar(LIMIT, at_most=True, own=True)] if count >= _FOR else (),
            [f"the first process of the service: {service.peak}"] if label == "custody put" else (),
        )
        for label, taken in found.items()
    ]


def write(root: Path, count: int) -> None:
    """Write `count` small files, no two alike, some hundred in a directory."""
    root.mkdir()
    for start in range(0, count, _IN_ONE):
        folder = root / f"directory-{start // _IN_ONE:05}"
        folder.mkdir()
        for number in range(start, min(start + _IN_ONE, count)):
            (folder / f"file-number-{number:07}.txt").write_bytes(b"the content of file number %d\n" % number)
