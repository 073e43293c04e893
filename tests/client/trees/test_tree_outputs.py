"""Directories as outputs of a step and as its inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.trees.trees_at_hand import seen
from tests.client.workbench import recorded

pytestmark = pytest.mark.slow


def test_a_directory_named_with_a_slash_is_one_output(custody: Command, place: Path) -> None:
    script = "mkdir -p dist/sub && echo a > dist/a && echo b > dist/sub/b && echo k > dist/server.key && echo c > c"
    done = custody("run", "--json", "--output", "dist/", "--output", "c", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    outputs = {one["name"]: one for one in recorded(done)["outputs"]}
    assert outputs.keys() == {"dist", "c"}
    listed = json.loads(custody("ls", outputs["dist"]["digest"], "--json").stdout)
    assert [one["path"] for one in listed["entries"]] == ["a", "sub/b"]
    assert recorded(done)["attestations"], done.stderr


def test_a_directory_that_was_not_made_is_said_to_be_missing(custody: Command) -> None:
    done = custody("run", "--require", "--output", "dist/", "--", "true")
    assert done.returncode == 1
    assert "dist/ is no directory" in done.stderr


def test_a_python_step_makes_and_consumes_directories(custody: Command, place: Path) -> None:
    (place / "make.py").write_text(
        "import custody, pathlib\n"
        "with custody.step('train', require=True) as s:\n"
        "    model = s.output('model/')\n"
        "    (model / 'deep').mkdir(parents=True)\n"
        "    (model / 'deep' / 'weights').write_bytes(b'w' * 1000)\n"
        "print(s.kept[0].digest)\n"
    )
    (place / "use.py").write_text(
        "import custody, shutil, sys\n"
        "with custody.step('use', require=True) as s:\n"
        "    shutil.copytree(s.input(sys.argv[1]), 'copy')\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=place,
            env=custody.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    made = run("make.py")
    assert made.returncode == 0, made.stderr
    used = run("use.py", made.stdout.strip())
    assert used.returncode == 0, used.stderr
    assert seen(place / "copy") == seen(place / "model")
