"""Files kept and fetched by digest and by URI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.workbench import sha256

pytestmark = pytest.mark.slow


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


def test_a_wrong_token_is_said_to_be_wrong(custody: Command, place: Path) -> None:
    (place / "x").write_text("x")
    done = custody("put", "x", CUSTODY_TOKEN="cpt_wrong")
    assert done.returncode == 4
    assert "cpt_wrong" not in done.stderr
