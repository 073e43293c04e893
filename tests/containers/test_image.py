"""The steps of the Dockerfile, one by one in a scratch folder: what they install runs.

Not done here, because there is no engine: pulling the base image, and making its user. The
Python is the one of the tests.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.containers.compose import Step, dockerfile
from tests.house.tree import ROOT, read

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_MAKES_USER = re.compile(
    r"useradd --system --uid 10001 --no-create-home custody && install -d -o 10001 -g 10001 -m 0700 ([/\w ]+)"
)


class Scratch:
    """A folder in the place of the root of an image."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workdir = root
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("CUSTODY_", "PYTHON"))
        }
        self.start: list[str] = []
        subprocess.run([sys.executable, "-m", "venv", root / "venv"], check=True)
        path = f"{root}/venv/bin:{root}/usr/local/bin:{os.environ['PATH']}"
        self.environment |= {"PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def inside(self, path: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.workdir / path

    def take(self, step: Step) -> None:
        """Do what one instruction says; one that is not known fails."""
        doing = {"FROM": self._nothing, "USER": self._nothing, "EXPOSE": self._nothing, "CMD": self._nothing}
        doing |= {"WORKDIR": self._change, "COPY": self._copy, "RUN": self._run, "ENV": self._set}
        doing |= {"ENTRYPOINT": self._enter}
        doing[step.word](step.rest)

    def _nothing(self, rest: str) -> None:
        assert rest

    def _change(self, rest: str) -> None:
        self.workdir = self.inside(rest)
        self.workdir.mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        *sources, target = rest.split()
        for source in sources:
            assert reaches_the_build(source), f".dockerignore keeps {source} away"
            place = self.inside(target)
            place = place / Path(source).name if target.endswith("/") or target == "./" else place
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)

    def _run(self, rest: str) -> None:
        made = _MAKES_USER.fullmatch(rest)
        if made is not None:
            for folder in made[1].split():
                self.inside(folder).mkdir(mode=0o700, parents=True)
            return
        subprocess.run(shlex.split(rest), cwd=self.workdir, env=self.environment, check=True)

    def _set(self, rest: str) -> None:
        for pair in rest.split():
            name, _, value = pair.partition("=")
            self.environment[name] = str(self.inside(value)) if value.startswith("/") else value

    def _enter(self, rest: str) -> None:
        self.start = json.loads(rest)

    def command(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """What a container does with these words."""
        return subprocess.run(
            [*self.start, *words], cwd=cwd, env=self.environment, capture_output=True, text=True, check=False
        )


def reaches_the_build(source: str) -> bool:
    """Whether .dockerignore, which leaves out all but what it names, lets `source` through."""
    first, *rules = read(".dockerignore").splitlines()
    assert first == "*"
    return any(
        rule.startswith("!") and (source == rule[1:] or source.startswith(f"{rule[1:]}/")) for rule in rules
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    made = Scratch(tmp_path_factory.mktemp("image"))
    for step in dockerfile():
        made.take(step)
    return made


def test_the_command_runs_from_anywhere_and_writes_nothing_beside_itself(
    scratch: Scratch, tmp_path: Path
) -> None:
    before = sorted(scratch.workdir.rglob("*"))
    assert any(path.suffix == ".pyc" for path in before)
    shown = scratch.command("--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "tokens" in shown.stdout
    nothing = scratch.command("env", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert (nothing.returncode, "hint: custody-server serve" in nothing.stderr) == (3, True)
    made = scratch.command("migrate", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "data" / "index" / "custody.db").stat().st_size > 0
    assert sorted(scratch.workdir.rglob("*")) == before


def test_every_module_of_the_service_can_be_imported_with_what_the_image_installs(
    scratch: Scratch, tmp_path: Path
) -> None:
    names = [
        ".".join(path.relative_to(scratch.workdir).with_suffix("").parts).removesuffix(".__init__")
        for room in ("api", "artifacts", "provenance")
        for path in sorted((scratch.workdir / room).rglob("*.py"))
        if path.name != "__main__.py"
    ]
    program = f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    done = subprocess.run(
        ["python", "-c", program],
        cwd=tmp_path,
        env=scratch.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(names) > 100
