"""What the end-to-end tests of the client share."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from custody.service import Service
from custody.transport import Transport
from tests.client.conftest import Command


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
