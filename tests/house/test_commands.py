"""The commands around the code: make, the scripts, the container."""

import re
import subprocess

import pytest

from tests.house.tree import ROOT, SERVICE_ROOMS, read


@pytest.mark.parametrize("script", ["scripts/setup", "scripts/test", ".ci/run", ".githooks/pre-commit"])
def test_a_script_is_well_formed_and_may_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].removeprefix("#!")
    assert subprocess.run([shell, "-n", path], check=False, capture_output=True).stderr == b""


def test_make_alone_teaches_every_target() -> None:
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert [target for target in targets if f"make {target} " not in shown] == []


def test_continuous_integration_runs_what_the_readme_says() -> None:
    assert {"check", "test"} <= set(re.findall(r"make --no-print-directory (\w+)", read(".ci/run")))


def test_the_image_copies_what_exists_and_runs_as_nobody_in_particular() -> None:
    recipe = read("Dockerfile")
    sources = [word for line in re.findall(r"^COPY (.+) \S+$", recipe, re.MULTILINE) for word in line.split()]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(SERVICE_ROOMS) <= set(sources)
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", recipe, re.MULTILINE)


def test_what_the_image_installs_is_what_is_tested() -> None:
    pins = re.compile(r"^(\S+==\S+)", re.MULTILINE)
    tested = set(pins.findall(read("requirements/dev.txt")))
    assert set(pins.findall(read("requirements/server.txt"))) <= tested
