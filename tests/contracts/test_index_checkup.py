"""What `custody-server doctor` finds out about an index in PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.index_checkup import examine, shown
from api.settings import Settings
from artifacts.db import alter
from migrations.roles import grant
from tests.postgres import Cluster, a_cluster
from tests.running_service import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A server that is durable, as doctor wants it."""
    with a_cluster() as made:
        yield made


def doctor(url: str, folder: Path, *flags: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "api.commands", "doctor", "--data", str(folder), *flags]
    environment = {**os.environ, "CUSTODY_DATABASE_URL": url}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


async def test_a_login_with_the_role_of_its_process_is_found_good(cluster: Cluster, tmp_path: Path) -> None:
    name = cluster.migrated()
    await alter(cluster.url(name), grant)
    cluster.execute("CREATE ROLE checked LOGIN IN ROLE custody_api")
    status, told = doctor(cluster.url(name, role="checked"), tmp_path, "--process", "api")
    assert status == 0, told
    assert "✓ privileges             what the api writes, and nothing else" in told
    assert told.endswith("the index can be used\n")
    status, told = doctor(cluster.url(name, role="checked"), tmp_path, "--process", "signer", "--json")
    found: dict[str, Any] = json.loads(told)  # Any: JSON
    assert (status, found["good"], found["index_good"]) == (1, True, False)


async def test_what_is_wrong_is_said(cluster: Cluster, postgres: Cluster, tmp_path: Path) -> None:
    owner = Settings(database_url=cluster.url(cluster.migrated()))
    verdicts = {one.check: one.verdict for one in await examine(owner, "api")}
    assert verdicts == {
        "server": "good", "schema": "good", "durability": "good", "collation": "good", "privileges": "bad"
    }  # fmt: skip
    empty = Settings(database_url=postgres.url(postgres.empty()))
    said = {one.check: one.said for one in await examine(empty, None)}
    assert said["schema"].startswith("none, not ")
    assert said["durability"] == "fsync off: what is acknowledged may be lost"
    nobody = Settings(database_url=f"postgresql://custody@/custody?host={tmp_path}")
    (only,) = await examine(nobody, None)
    assert (only.check, only.verdict) == ("server", "bad")
    assert await examine(Settings(data=tmp_path), None) == []


def test_the_address_is_shown_without_its_secret() -> None:
    settings = Settings(database_url="postgresql://user:hunter2@db.example.com:5433/custody?ssl=require")
    assert shown(settings) == "postgresql://db.example.com:5433/custody"
