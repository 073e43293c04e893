"""`custody.step`: a block of Python as a step."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import custody
from custody.errors import ContentError, MisuseError, NothingFoundError, UnreachableError
from tests.client.conftest import Command

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, without settings of any service."""
    for name in ("CUSTODY_URL", "CUSTODY_TOKEN", "CUSTODY_PIN", "CUSTODY_STEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(place.parent / "home"))
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def served(here: Path, service: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the running service."""
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    return here


@pytest.mark.slow
def test_inputs_parameters_and_outputs_are_in_the_record(
    served: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (served / "data.csv").write_text("1,2\n")
    with custody.step("train", run="python-chain") as step:
        data = step.input("data.csv")
        step.params(lr=1e-3, epochs=3, fast=True)
        model = step.output("model.bin")
        (served / "shards").mkdir()
        (served / "shards" / "a").write_text("a")
        step.output("shards")
        model.write_text("model of " + data.read_text())
    assert step.page["state"] == "signed"
    assert {one.name for one in step.kept} == {"model.bin", "shards/a"}
    assert capsys.readouterr().err == ""
    assert command("verify", "model.bin").returncode == 0
    lineage = json.loads(command("trace", "model.bin", "--json").stdout)
    assert lineage["steps"][0]["name"] == "train"
    assert lineage["steps"][0]["id"] == step.id


@pytest.mark.slow
def test_a_reference_is_fetched_verified_and_given_as_a_path(served: Path, command: Command) -> None:
    (served / "base").write_bytes(b"base image")
    assert command("put", "base").returncode == 0
    digest = f"sha256:{hashlib.sha256(b'base image').hexdigest()}"
    with custody.step("use") as step:
        path = step.input(f"https://example.com/base@{digest}")
        assert path.read_bytes() == b"base image"
        assert step.input(digest) == path
        step.output("copy").write_bytes(path.read_bytes() * 2)
        with pytest.raises(NothingFoundError):
            step.input("sha256:" + "0" * 64)
    assert not path.exists()
    assert command("verify", "copy").returncode == 0


@pytest.mark.slow
def test_an_exception_makes_a_failed_step_and_travels_on(served: Path) -> None:
    seen: list[custody.Step] = []

    def fails() -> None:
        with custody.step("fails") as step:
            seen.append(step)
            step.output("half").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen[0].page["outcome"] == "failed"
    assert seen[0].page["attestations"][0]["predicate_type"].endswith("/predicates/record/v1")


@pytest.mark.slow
def test_an_output_that_was_never_written_is_missed(served: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with custody.step("forgets") as step:
        step.output("nothing")
    assert "nothing: no such file" in capsys.readouterr().err
    with pytest.raises(ContentError, match="no such file"), custody.step("forgets", require=True) as step:
        step.output("nothing")


def test_without_a_service_the_program_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUSTODY_URL", DEAD)
    (here / "x").write_text("x")
    with custody.step("alone") as step:
        assert step.input("x").read_text() == "x"
        step.params(a=1)
        step.output("y").write_text("y")
    assert (here / "y").read_text() == "y"
    assert "the step alone is kept on this machine" in capsys.readouterr().err
    spool = here.parent / "home/.local/state/custody/spool/entries"
    assert [one.name for one in spool.iterdir()] == [step.id]


def test_without_any_service_configured_nothing_is_kept(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with custody.step("alone") as step:
        step.output("y").write_text("y")
        assert step.id is None
    assert "the step alone is not recorded" in capsys.readouterr().err
    assert not (here.parent / "home/.local").exists()


def test_without_a_service_a_reference_cannot_be_read(here: Path) -> None:
    with custody.step("alone") as step, pytest.raises(ContentError, match="without a service"):
        step.input("sha256:" + "0" * 64)


def test_with_require_it_does_not_begin_without_a_service(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTODY_URL", DEAD)
    with pytest.raises(UnreachableError), custody.step("alone", require=True):
        raise AssertionError("the block was entered")


def test_what_makes_no_sense_is_refused(here: Path) -> None:
    with custody.step("strict") as step:
        step.params(a=1)
        with pytest.raises(MisuseError, match="two values"):
            step.params(a=True)
        with pytest.raises(MisuseError, match="outside the working directory"):
            step.output("../x")
        with pytest.raises(MisuseError, match="is a folder"):
            step.input(".")
        with pytest.raises(MisuseError, match="names no digest"):
            step.input("https://example.com/x")
        with pytest.raises(ContentError, match="no such file"):
            step.input("missing")


def test_floats_are_written_as_text(here: Path) -> None:
    with custody.step("floats") as step:
        step.params(lr=1e-3, epochs=3, fast=True, name="x")
        assert step.parameters == {"lr": "0.001", "epochs": 3, "fast": True, "name": "x"}


class Half:
    """A number as libraries make them: neither float nor int, and nothing that JSON knows."""

    def __float__(self) -> float:
        return 0.5

    def __str__(self) -> str:
        return "0.5"


class Named(float):
    """A float that shows more than its digits, as numpy's does."""

    def __repr__(self) -> str:
        return f"Named({float(self)})"


def test_numbers_of_other_libraries_are_written_as_text(here: Path) -> None:
    with custody.step("numbers") as step:
        step.params(half=Half(), named=Named(0.25), large=2**60, none=None)  # type: ignore[arg-type]  # that is the point
        assert step.parameters == {"half": "0.5", "named": "0.25", "large": str(2**60), "none": "None"}


def test_a_fault_while_recording_does_not_reach_the_program(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUSTODY_URL", DEAD)
    with custody.step("odd") as step:
        step.output("x" * 300)  # no file system takes such a name, and asking raises
    assert "the step odd is not recorded completely" in capsys.readouterr().err
