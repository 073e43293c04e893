"""Directories put, listed, compared and got with the real command and the real service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.trees.trees_at_hand import seen

pytestmark = pytest.mark.slow


def _dataset(place: Path) -> None:
    (place / "data" / "deep" / "er").mkdir(parents=True)
    (place / "data" / "empty").mkdir()
    (place / "data" / "deep" / "er" / "f").write_bytes(b"content" * 99)
    (place / "data" / "run").write_bytes(b"#!/bin/sh\n")
    (place / "data" / "run").chmod(0o755)
    (place / "data" / "big").write_bytes(b"0123456789" * 150_000)
    (place / "data" / "link").symlink_to("deep/er/f")
    (place / "data" / "odd \x1b[31m\n name").write_bytes(b"")


def test_a_directory_goes_there_and_back(custody: Command, place: Path) -> None:
    _dataset(place)
    done = custody("put", "data")
    assert done.returncode == 0, done.stderr
    digest = done.stdout.split()[0]
    for target, store in (("one", "on"), ("two", "on"), ("three", "off")):
        changed = {} if store == "on" else {"CUSTODY_NODE_STORE": "off"}
        done = custody("get", digest, target, **changed)
        assert done.returncode == 0, done.stderr
        assert seen(place / target) == seen(place / "data")
    assert custody("diff", digest, "two").returncode == 0
    (place / "two" / "run").chmod(0o644)
    (place / "two" / "new").write_bytes(b"1")
    done = custody("diff", digest, "two")
    assert (done.returncode, done.stdout) == (1, "+ new\nm run\n")


def test_a_listing_cannot_take_over_the_terminal(custody: Command, place: Path) -> None:
    _dataset(place)
    digest = custody("put", "data").stdout.split()[0]
    listed = custody("ls", digest)
    assert listed.returncode == 0
    assert "\x1b" not in listed.stdout
    assert len(listed.stdout.splitlines()) == 6
    found = json.loads(custody("ls", digest, "deep", "--json").stdout)
    assert [one["path"] for one in found["entries"]] == ["deep/er/f"]
    assert custody("ls", digest, "nowhere").returncode == 3
    member = custody("get", found["entries"][0]["digest"], "member")
    assert member.returncode in (0, 3)


def test_an_unknown_tree_is_not_found(custody: Command, place: Path) -> None:
    unknown = "sha256:" + "0" * 64
    assert custody("ls", unknown).returncode == 3
    assert custody("get", unknown, "x").returncode == 3
    assert not (place / "x").exists()


def test_secrets_are_not_put_by_accident(custody: Command, place: Path) -> None:
    _dataset(place)
    (place / "data" / ".env").write_text("TOKEN=1")
    refused = custody("put", "data")
    assert refused.returncode == 1
    assert "--allow-secrets" in refused.stderr
    without = custody("put", "data", "--ignore").stdout.split()[0]
    within = custody("put", "data", "--allow-secrets").stdout.split()[0]
    assert without != within
    assert ".env" not in custody("ls", without).stdout
    assert ".env" in custody("ls", within).stdout


def test_the_store_of_this_machine_is_shown_and_emptied(custody: Command, place: Path) -> None:
    _dataset(place)
    digest = custody("put", "data").stdout.split()[0]
    assert custody("get", digest, "one").returncode == 0
    where = Path(custody("cache", "dir").stdout.strip())
    assert any((where / "frames").rglob("*-*"))
    pruned = json.loads(custody("cache", "prune", "--size", "0", "--json").stdout)
    assert pruned["entries"] == 0
    assert pruned["removed"] >= 3
    assert custody("get", digest, "two").returncode == 0
    assert seen(place / "one") == seen(place / "two")


def test_a_command_adds_a_directory_to_its_own_step(custody: Command, place: Path) -> None:
    (place / "made").mkdir()
    (place / "made" / "a").write_bytes(b"made by a step")
    done = custody("run", "--json", "--give-token", "--", "custody", "put", "made/", "--json")
    assert done.returncode == 0, done.stderr
    digest = json.loads(done.stdout.splitlines()[0])["digest"]
    page = json.loads(custody("trace", digest, "--json").stdout)
    assert [one["id"] for one in page["steps"]] == [json.loads(done.stdout.splitlines()[-1])["id"]]
    assert custody("verify", digest).returncode == 0


def test_a_single_file_of_a_directory_is_got_by_its_own_digest(custody: Command, place: Path) -> None:
    _dataset(place)
    put = custody("put", "data")
    assert put.returncode == 0, put.stderr
    tree = put.stdout.split()[0]
    listed = json.loads(custody("ls", tree, "--json").stdout)["entries"]
    (digest,) = [one["digest"] for one in listed if one["path"] == "deep/er/f"]
    done = custody("get", digest, "alone")
    assert done.returncode == 0, done.stderr
    assert (place / "alone").read_bytes() == b"content" * 99
    assert custody("get", digest, "-").stdout == "content" * 99
