"""The main job, with the real service: run, verify, trace."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.workbench import bundle_of, recorded, repository, sha256

pytestmark = pytest.mark.slow


def test_what_a_command_made_is_stored_signed_verified_and_traced(custody: Command, place: Path) -> None:
    commit = repository(place)
    done = custody("run", "--", "sh", "-c", "mkdir out; cat main.c > out/app; echo built; echo noise >&2")
    assert done.returncode == 0
    assert done.stdout == "built\n"
    lines = done.stderr.splitlines()
    assert lines[0].startswith(
        f"custody  project default · git {commit[:7]} (clean) · builder local, reported"
    )
    assert lines[0].endswith(custody.settings["CUSTODY_URL"])
    assert "secret" not in done.stderr
    assert any(
        line.startswith("in      git+https://example.com/acme/app") and commit[:16] in line for line in lines
    )
    assert "noise" in lines
    assert any(line.startswith("out     out/app  " + sha256(place / "out/app")) for line in lines)
    assert lines[-2].startswith("signed  https://slsa.dev/provenance/v1 · key SHA256:")
    assert lines[-1] == "next    custody verify out/app"

    verified = custody("verify", "out/app")
    assert verified.returncode == 0, verified.stderr
    shown = verified.stdout.splitlines()
    assert custody.settings["CUSTODY_PIN"] in shown[1]
    assert shown[2].startswith("expects")
    assert shown[-1] == "verified"
    assert "! builder" in verified.stdout

    traced = custody("trace", "out/app")
    assert traced.returncode == 0
    assert traced.stdout.splitlines()[0] == f"{sha256(place / 'out/app')}  out/app"
    assert "✓ step sh · succeeded · signed" in traced.stdout

    got = custody("get", sha256(place / "out/app"), "again")
    assert got.returncode == 0
    assert (place / "again").read_bytes() == b"int main;\n"


def test_a_failed_command_is_recorded_as_a_failure_and_verifies_as_nothing(
    custody: Command, place: Path
) -> None:
    done = custody("run", "--json", "--", "sh", "-c", "echo half-done > app; echo why it failed; exit 7")
    assert done.returncode == 7
    found = recorded(done)
    assert (found["outcome"], found["exit_status"], found["state"]) == ("failed", 7, "signed")
    assert found["attestations"][0]["predicate_type"].endswith("/predicates/record/v1")
    assert custody("verify", "app").returncode in (1, 3)
    log = custody("get", found["log"]["digest"], "-")
    assert log.stdout == "why it failed\n"


def test_secrets_reach_neither_the_log_nor_the_record(custody: Command, place: Path) -> None:
    done = custody(
        "run",
        "--json",
        "--param",
        "api_key=swordfish-77",
        "--param",
        "epochs=3",
        "--env",
        "DEPLOY_TOKEN",
        "--",
        "sh",
        "-c",
        'echo "key $DEPLOY_TOKEN"; echo x > app',
        "--password",
        "open-sesame-9",
        DEPLOY_TOKEN="very-secret-value-1",
    )
    assert done.returncode == 0
    assert "very-secret-value-1" in done.stdout  # passed through as it is
    assert "DEPLOY_TOKEN is not recorded" in done.stderr
    found = recorded(done)
    log = custody("get", found["log"]["digest"], "-").stdout
    assert log == "key ***\n"
    bundle_of(custody, sha256(place / "app"), place / "app.json")
    payload = base64.b64decode(json.loads((place / "app.json").read_bytes())["dsseEnvelope"]["payload"])
    assert b"very-secret-value-1" not in payload
    assert b"open-sesame-9" not in payload
    assert b"swordfish-77" not in payload
    stated = json.loads(payload)["predicate"]["buildDefinition"]["externalParameters"]["parameters"]
    assert stated == {"api_key": "***", "epochs": "3"}


def test_a_second_step_leads_back_to_the_first(custody: Command, place: Path) -> None:
    assert (
        custody("run", "--name", "first", "--run", "chain", "--", "sh", "-c", "echo one > one").returncode
        == 0
    )
    second = custody(
        "run",
        "--json",
        "--name",
        "second",
        "--run",
        "chain",
        "--input",
        "one",
        "--",
        "sh",
        "-c",
        "cat one one > two",
    )
    assert second.returncode == 0
    lineage = json.loads(custody("trace", "two", "--json").stdout)
    assert [step["name"] for step in lineage["steps"]] == ["second", "first"]
    assert len({step["run"] for step in lineage["steps"]}) == 1
    down = custody("trace", "one", "--down").stdout
    assert "step second" in down
    assert "two" in down


def test_what_differs_from_the_commit_is_an_input_of_its_own(custody: Command, place: Path) -> None:
    repository(place)
    (place / "main.c").write_text("int changed;\n")
    (place / "new.c").write_text("int new;\n")
    done = custody("run", "--json", "--input", "new.c", "--", "sh", "-c", "cat *.c > app")
    assert "(dirty, 2 files differ)" in done.stderr.splitlines()[0]
    states = {one["name"]: one["annotations"]["state"] for one in recorded(done)["inputs"]}
    assert states == {"main.c": "modified", "new.c": "untracked"}


def test_the_command_does_not_see_our_settings(custody: Command, place: Path) -> None:
    done = custody("run", "--", "sh", "-c", "env | grep -c ^CUSTODY_")
    assert done.stdout == "0\n"


def test_with_a_token_of_its_own_the_command_adds_to_the_step(custody: Command, place: Path) -> None:
    (place / "ignored").mkdir()
    (place / ".custodyignore").write_text("ignored/\n")
    script = (
        "echo nested > ignored/by-put; custody put ignored/by-put; "
        'printf curled | curl -sSf -H "Authorization: Bearer $CUSTODY_TOKEN" -T - '
        '"$CUSTODY_URL/v1/steps/$CUSTODY_STEP/outputs/by-curl" >&2; '
        "custody run -- sh -c 'echo inner > inner'; env | grep -c ^CUSTODY_"
    )
    done = custody("run", "--json", "--give-token", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2] == "3"
    assert "inside step" in done.stderr
    for name in ("ignored/by-put", "inner"):
        assert custody("verify", name).returncode == 0
    assert custody("verify", "sha256:" + hashlib.sha256(b"curled").hexdigest()).returncode == 0
    page = recorded(done)
    assert [one["name"] for one in page["outputs"]] == ["inner"]
