"""The main job, with the real service: run, put, get, verify, trace."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from custody.service import Service
from custody.transport import Transport
from tests.client.conftest import Command

pytestmark = pytest.mark.slow


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def recorded(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def bundle_of(custody: Command, digest: str, target: Path) -> None:
    """Keep the first bundle about `digest`, and the public key beside it."""
    with Service(Transport(custody.settings["CUSTODY_URL"], custody.settings["CUSTODY_TOKEN"])) as remote:
        first = remote.attestations(digest)[0]
        target.write_bytes(remote.attestation(first["digest"]))
        target.with_suffix(".pem").write_text(remote.public_keys()[0]["public_key"])


def repository(place: Path) -> str:
    """Make a git work tree with one commit and return its id."""

    def git(*arguments: str) -> str:
        identity = [
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.invalid",
            "-c",
            "commit.gpgsign=false",
        ]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=place, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("remote", "add", "origin", "https://user:secret@example.com/acme/app.git")
    (place / "main.c").write_text("int main;\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "one")
    return git("rev-parse", "HEAD")


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


def test_expectations_are_checked_and_what_was_found_is_shown(custody: Command, place: Path) -> None:
    repository(place)
    assert custody("run", "--", "sh", "-c", "echo expected > app").returncode == 0
    source = "git+https://example.com/acme/app.git"
    assert custody("verify", "app", "--source", source, "--label", "reported").returncode == 0
    unproven = custody("verify", "app", "--source", source)
    assert unproven.returncode == 1
    assert "--label reported" in unproven.stdout
    other = custody("verify", "app", "--source", "git+https://example.com/evil", "--label", "reported")
    assert other.returncode == 1
    assert f"expected git+https://example.com/evil, found {source}" in other.stdout
    builder = custody.settings["CUSTODY_URL"] + "/builders/local/v1"
    assert custody("verify", "app", "--builder", builder).returncode == 0
    assert custody("verify", "app", "--builder", "https://example.com/other").returncode == 1


def test_a_tampered_copy_is_unknown_to_the_service_and_refused_offline(
    custody: Command, offline: Command, place: Path
) -> None:
    assert custody("run", "--", "sh", "-c", "echo original-bytes > app").returncode == 0
    original = sha256(place / "app")
    bundle_of(custody, original, place / "app.json")
    assert offline("verify", "app", "--bundle", "app.json", "--key", "app.pem").returncode == 0
    (place / "app").write_text("tampered\n")
    unknown = custody("verify", "app")
    assert unknown.returncode == 3
    assert original in unknown.stderr
    refused = offline("verify", "app", "--bundle", "app.json", "--key", "app.pem")
    assert refused.returncode == 1
    assert f"expected {sha256(place / 'app')}" in refused.stdout
    assert f"found    {original}  app" in refused.stdout
    assert refused.stdout.splitlines()[-1] == "not verified"


def test_trust_is_pinned_and_never_fetched(custody: Command, offline: Command, place: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    assert custody("run", "--", "sh", "-c", "echo trust > app").returncode == 0
    without = custody("verify", "app", CUSTODY_PIN="")
    assert without.returncode == 1
    assert "well-formed, signer unknown" in without.stdout
    assert custody("verify", "app", "--pin", "SHA256:" + "A" * 43).returncode == 1
    bundle_of(custody, sha256(place / "app"), place / "app.json")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    foreign = ec.generate_private_key(ec.SECP256R1()).public_key()
    (place / "foreign.pem").write_bytes(foreign.public_bytes(serialization.Encoding.PEM, form))
    assert custody("verify", "app", "--key", "foreign.pem").returncode == 1
    assert offline("verify", "app", "--bundle", "app.json", "--key", "foreign.pem").returncode == 1
    both = offline("verify", "app", "--bundle", "app.json", "--key", "app.pem", "--pin", "SHA256:other")
    assert both.returncode == 1
    assert "expected SHA256:other, found SHA256:" in both.stderr
    report = json.loads(custody("verify", "app", "--json").stdout)
    assert report["verified"] is True
    assert {check["name"] for check in report["attestations"][0]["checks"]} >= {
        "signature",
        "subject",
        "predicate",
    }


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


def test_what_is_stored_already_is_not_sent_again(custody: Command, place: Path) -> None:
    first = custody("run", "--", "sh", "-c", "echo same > a")
    assert first.stderr.count("  stored") == 1
    again = custody("run", "--", "sh", "-c", "echo same > b; echo same > c")
    assert again.stderr.count("already stored") == 2
    assert custody("verify", "b").returncode == 0


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


def test_put_and_get_by_digest_and_uri(custody: Command, place: Path) -> None:
    (place / "model").write_bytes(b"weights" * 1000)
    uri = "https://models.example.com/churn/7"
    digest = sha256(place / "model")
    done = custody("put", "model", "--uri", uri)
    assert (done.returncode, done.stdout) == (0, f"{digest}  model\n")
    assert json.loads(custody("put", "model", "--json").stdout)["digest"] == digest
    assert custody("get", uri, "by-uri").stdout == f"{digest}  by-uri\n"
    assert (place / "by-uri").read_bytes() == (place / "model").read_bytes()
    assert custody("get", f"{uri}@{digest}", "by-both").returncode == 0
    refused = custody("get", digest, "by-uri")
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    (place / "by-uri").write_text("old")
    assert custody("get", "--force", digest, "by-uri").returncode == 0
    assert (place / "by-uri").read_bytes() == (place / "model").read_bytes()
    assert not list(place.glob(".custody-*"))


def test_a_uri_that_named_two_contents_resolves_to_neither(custody: Command, place: Path) -> None:
    uri = "https://models.example.com/ambiguous"
    for content in ("one", "two"):
        (place / content).write_text(content)
        assert custody("put", content, "--uri", uri).returncode == 0
    done = custody("get", uri, "x")
    assert done.returncode == 1
    assert sha256(place / "one") in done.stderr
    assert sha256(place / "two") in done.stderr
    assert not (place / "x").exists()


def test_nothing_found_is_status_3_everywhere(custody: Command, place: Path) -> None:
    nobody = "sha256:" + "0" * 64
    assert custody("get", nobody, "x").returncode == 3
    assert custody("get", "https://nowhere.example.com/", "x").returncode == 3
    assert custody("verify", nobody).returncode == 3
    assert custody("trace", nobody).returncode == 3
    assert list(place.iterdir()) == []


def test_a_wrong_token_is_said_to_be_wrong(custody: Command, place: Path) -> None:
    (place / "x").write_text("x")
    done = custody("put", "x", CUSTODY_TOKEN="cpt_wrong")
    assert done.returncode == 4
    assert "cpt_wrong" not in done.stderr


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
