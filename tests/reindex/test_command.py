"""`custody-server reindex`, and what a kill in the middle of it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from api.commands import main
from tests.attacks.actors import begin, finish
from tests.reindex.corpus import left_unsigned, objects, recorded
from tests.running_service import ROOT
from tests.service import PUBLIC_URL, Service

_TABLES = (
    *("artifact", "attestation", "attestation_subject", "digest_alias", "location", "pack", "project"),
    *("receipt", "reference", "run", "step", "step_dep", "step_input", "step_ledger", "step_output"),
    *("token", "tree", "tree_part"),
)
_MOMENTS = {"created_at", "named_at", "checked_at", "changed_at"}


def folder_of(service: Service) -> Path:
    """The data folder, as the embedded service would have it: with the signer's key."""
    folder = service.folder / "data"
    if not (folder / "keys").exists():
        shutil.copytree(service.folder / "keys", folder / "keys")
        (folder / "keys" / "local.pem").rename(folder / "keys" / "local-v1.pem")
    return folder


def lost(service: Service) -> Path:
    """The data folder without its index."""
    folder = folder_of(service)
    shutil.rmtree(folder / "index")
    return folder


def rows(folder: Path) -> dict[str, list[Any]]:
    """Every row of the index, but for when it was filed."""
    connection = sqlite3.connect(folder / "index" / "custody.db")
    connection.row_factory = sqlite3.Row
    found = {}
    for table in _TABLES:
        kept = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608  # our own names
        plain = [{name: value for name, value in row.items() if name not in _MOMENTS} for row in kept]
        found[table] = sorted(plain, key=repr)
    connection.close()
    return found


def command(folder: Path, *options: str) -> list[str]:
    """The words of the command."""
    return ["reindex", "--data", str(folder), "--public-url", PUBLIC_URL, *options]


async def _close(service: Service) -> None:
    await service.database.close()


def run_in_thread(words: list[str]) -> int:
    """The command in a process of its own loop."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(main, words).result()


async def test_the_command_tells_what_it_found(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = await recorded(service)
    await left_unsigned(service, corpus)
    await _close(service)
    folder = lost(service)
    assert run_in_thread(command(folder, "--dry-run")) == 0
    assert not (folder / "index").exists()
    told = capsys.readouterr()
    assert "would have filed" in told.out
    assert "not signed yet, on the signer's queue" in told.out
    assert run_in_thread(command(folder, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["clean"] is True
    assert report["records_without_statement"] == [f"default/{corpus.unsigned.rpartition('/')[2]}"]
    assert report["counts"]["tokens"] == 2


async def test_something_planted_is_status_1_and_a_long_list_is_cut(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await recorded(service)
    for number in range(30):
        (objects(service) / "projects" / f"planted-{number:02d}").write_bytes(b"")
    await _close(service)
    assert run_in_thread(command(lost(service))) == 1
    told = capsys.readouterr().out
    assert "projects/planted-00: nothing of ours has such a name" in told
    assert "… and 10 more (--json has them)" in told


async def test_without_any_key_nothing_is_read(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    await _close(service)
    folder = lost(service)
    shutil.rmtree(folder / "keys")
    assert run_in_thread(command(folder)) == 4
    assert "--trust-key" in capsys.readouterr().err


async def test_a_seal_key_that_is_named_and_not_there_is_not_taken_for_a_lost_one(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorded(service)
    await _close(service)
    monkeypatch.setenv("CUSTODY_SEAL_KEY_FILE", str(service.folder / "seal.key"))
    assert run_in_thread(command(lost(service))) == 4
    assert "there is no seal key" in capsys.readouterr().err


async def test_a_key_by_name_and_no_seal_bring_back_what_is_signed(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await recorded(service)
    await _close(service)
    folder = lost(service)
    shutil.rmtree(folder / "keys")
    (folder / "seal.key").unlink()
    pem = tmp_path / "key.pem"
    pem.write_text(service.signer.public_key.pem)
    capsys.readouterr()
    assert run_in_thread(command(folder, "--trust-key", str(pem), "--json")) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["counts"]["records signed"] == 12
    assert {one["reason"] for one in report["quarantined"]} == {
        "no seal of ours is on the journal file",
        "nobody signed the record, and no seal vouches for it",
    }
    assert run_in_thread(command(folder, "--trust-key", str(pem), "--accept-unsealed", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["tokens"] == 2


async def test_a_folder_that_is_being_served_is_left_alone(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    from api.holding import held
    from api.settings import Settings

    with held(Settings(data=folder_of(service))):
        assert run_in_thread(command(folder_of(service))) == 4
    assert "is being served already" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_named_key_that_cannot_be_read_is_a_wrong_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes | None
) -> None:
    pem = tmp_path / "key.pem"
    if content is not None:
        pem.write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(command(tmp_path, "--trust-key", str(pem)))
    assert ended.value.code == 2
    assert f"--trust-key: {pem}: " in capsys.readouterr().err


@pytest.mark.slow
async def test_killed_at_any_moment_and_run_again_it_ends_the_same(service: Service, tmp_path: Path) -> None:
    corpus = await recorded(service)
    async with service.client() as client:
        for number in range(40):
            step = await begin(client, name=f"step-{number}")
            await finish(client, step)
            await service.sign()
    await left_unsigned(service, corpus)
    await _close(service)
    whole, again, killed = await asyncio.to_thread(_killed_and_run_again, lost(service))
    assert len(whole["attestation"]) == 52
    assert killed
    assert [one == whole for one in again] == [True] * _TRIALS


_TRIALS = 8


def _killed_and_run_again(folder: Path) -> tuple[dict[str, list[Any]], list[dict[str, list[Any]]], int]:
    """The rows of a run that nobody disturbs, those of runs that were killed and run again, and how many were."""
    words = [sys.executable, "-m", "api.commands", *command(folder)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    quiet: dict[str, Any] = {
        "cwd": ROOT,
        "env": kept,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    began = time.monotonic()
    subprocess.run(words, check=True, **quiet)
    took = time.monotonic() - began
    whole, again, killed = rows(folder), [], 0
    for trial in range(_TRIALS):
        shutil.rmtree(folder / "index")
        options = ["--resume"] if trial % 2 else []
        child = subprocess.Popen([*words, *options], **quiet)
        try:
            # The moments are spread over the whole run; how far each comes is chance.
            child.wait(took * (trial + 1) / (_TRIALS + 1))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            killed += 1
        subprocess.run([*words, *options], check=True, **quiet)
        again.append(rows(folder))
    return whole, again, killed
