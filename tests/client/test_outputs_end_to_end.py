"""Which files become outputs, and what is said of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.workbench import recorded, sha256

pytestmark = pytest.mark.slow


def test_what_is_stored_already_is_not_sent_again(custody: Command, place: Path) -> None:
    first = custody("run", "--", "sh", "-c", "echo same > a")
    assert first.stderr.count("  stored") == 1
    again = custody("run", "--", "sh", "-c", "echo same > b; echo same > c")
    assert again.stderr.count("already stored") == 2
    assert custody("verify", "b").returncode == 0


def test_a_large_output_is_received_in_parts_and_signed(custody: Command, place: Path) -> None:
    (place / "known").write_bytes(os.urandom(17 << 20))
    assert custody("put", "known").stdout.split()[0] == sha256(place / "known")
    done = custody("run", "--json", "--", "sh", "-c", "head -c 17000000 /dev/urandom > large; cp known same")
    found = recorded(done)
    assert [one["name"] for one in found["outputs"] if one["stored"]] == ["large", "same"]
    assert found["state"] == "signed"
    assert custody("verify", "large").returncode == 0
    assert custody("get", sha256(place / "large"), "back").returncode == 0
    assert sha256(place / "back") == sha256(place / "large")


def test_a_glob_that_matches_nothing_is_said_and_with_require_fails(custody: Command, place: Path) -> None:
    done = custody(
        "run",
        "--output",
        "dist/*.whl",
        "--output",
        "made",
        "--",
        "sh",
        "-c",
        "echo m > made; echo u > unwanted",
    )
    assert done.returncode == 0
    assert "no file matches --output dist/*.whl" in done.stderr
    assert "out     made" in done.stderr
    assert "unwanted" not in done.stderr
    assert custody("run", "--require", "--output", "dist/*", "--", "true").returncode == 1
    assert custody("run", "--require", "--output", "dist/*", "--", "sh", "-c", "exit 9").returncode == 9


def test_more_outputs_than_a_step_can_have_become_a_list(custody: Command, place: Path) -> None:
    done = custody("run", "--json", "--", "sh", "-c", "for i in $(seq 1001); do echo $i > f$i; done")
    assert done.returncode == 0
    assert "name what matters, for example --output" in done.stderr
    found = recorded(done)
    assert found["outputs"] == []
    assert found["state"] == "signed"
    step = custody("trace", sha256(place / "f1"))
    assert step.returncode == 3


def test_a_file_that_never_holds_still_is_reported_as_such(custody: Command, place: Path) -> None:
    script = (
        "(i=0; while [ ! -e stop ] && [ $i -lt 400000 ]; do i=$((i+1)); echo $i >> busy; done) >/dev/null 2>&1 & "
        "echo calm > calm; sleep 0.2"
    )
    try:
        done = custody("run", "--json", "--", "sh", "-c", script)
    finally:
        (place / "stop").touch()
    assert done.returncode == 0
    found = recorded(done)
    assert "calm" in [one["name"] for one in found["outputs"] if one["stored"]]
    assert any("busy" in line and "chang" in line for line in found["warnings"])


def test_a_command_that_removes_its_own_directory_is_still_recorded(custody: Command, place: Path) -> None:
    done = custody("run", "--json", "--", "sh", "-c", f"rm -rf '{place}'; echo gone")
    assert done.returncode == 0
    assert recorded(done)["state"] == "signed"
    assert "No such file or directory" in done.stderr


def test_an_output_named_like_our_log_keeps_its_name(custody: Command, place: Path) -> None:
    done = custody("run", "--json", "--", "sh", "-c", "echo mine > log; echo said")
    found = recorded(done)
    assert [one["name"] for one in found["outputs"]] == ["log"]
    assert found["log"]["name"] == "log.custody"
    assert custody("verify", "log").returncode == 0


def test_strange_names_of_files_are_stored_and_verified(custody: Command, place: Path) -> None:
    strange = "a\nb \x1b[31m \udcff back\\slash 100% größer"
    (place / "in").write_text("strange content")
    script = "import os, sys; open(os.fsencode(sys.argv[1]), 'w').write(open('in').read() * 2)"
    done = custody("run", "--json", "--", "python3", "-c", script, strange)
    assert done.returncode == 0, done.stderr
    assert recorded(done)["state"] == "signed"
    assert "\x1b" not in done.stderr
    assert custody("verify", strange).returncode == 0


def test_what_lies_too_deep_to_be_found_is_said(custody: Command, place: Path) -> None:
    command = (
        "sh",
        "-c",
        "mkdir -p $(printf 'd/%.0s' $(seq 210)); echo hidden > $(printf 'd/%.0s' $(seq 210))x",
    )
    done = custody("run", "--", *command)
    assert done.returncode == 0
    assert "lies too deep, so what is in it is not recorded" in done.stderr
    # It was so before: nothing is known to have been made there.
    assert "too deep" not in custody("run", "--require", "--", "sh", "-c", "echo more > more").stderr
