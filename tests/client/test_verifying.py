"""Trust and expectations, with the real service and without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.workbench import bundle_of, repository, sha256

pytestmark = pytest.mark.slow


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
    assert custody("run", "--", "sh", "-c", "echo original-bytes > wheel").returncode == 0
    original = sha256(place / "wheel")
    bundle_of(custody, original, place / "app.json")
    assert offline("verify", "wheel", "--bundle", "app.json", "--key", "app.pem").returncode == 0
    (place / "wheel").write_text("tampered\n")
    unknown = custody("verify", "wheel")
    assert unknown.returncode == 3
    assert original in unknown.stderr
    refused = offline("verify", "wheel", "--bundle", "app.json", "--key", "app.pem")
    assert refused.returncode == 1
    assert f"expected {sha256(place / 'wheel')}" in refused.stdout
    assert f"found    {original}  wheel" in refused.stdout
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


def test_nothing_found_is_status_3_everywhere(custody: Command, place: Path) -> None:
    nobody = "sha256:" + "0" * 64
    assert custody("get", nobody, "x").returncode == 3
    assert custody("get", "https://nowhere.example.com/", "x").returncode == 3
    assert custody("verify", nobody).returncode == 3
    assert custody("trace", nobody).returncode == 3
    assert list(place.iterdir()) == []
