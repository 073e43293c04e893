"""What we are measured against keeps its promises too, and memory is counted whole."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from benchmarks import requests
from benchmarks.peaks import peak
from benchmarks.peers import core_service, orm_service
from benchmarks.peers.grounds import Ground, ground

_TOKEN = "token-of-the-peer"
_HEADERS = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
_SIZE = 40
_BOTH = f"""
import os, time
ours = bytearray(os.urandom({_SIZE} << 20))
pid = os.fork()
if not pid:
    ours[:] = os.urandom({_SIZE} << 20)
time.sleep(0.5)
if pid:
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("application", [orm_service.application, core_service.application])
def test_a_peer_answers_for_a_record_once_an_object_of_it_is_there(
    application: Callable[[Ground, str], FastAPI], tmp_path: Path
) -> None:
    on = ground({"PEER_DATA": str(tmp_path)})
    client = TestClient(application(on, _TOKEN))
    body, other = requests.record(7).body, {**_HEADERS, "Authorization": "Bearer no"}
    assert client.post("/v1/records", content=body, headers=other).status_code == 401
    answers = [client.post("/v1/records", content=body, headers=_HEADERS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    kept = {path.name: path.read_bytes() for path in (tmp_path / "objects").iterdir()}
    assert set(kept) == {answer.json()["record"] for answer in answers}
    for name, content in kept.items():
        assert name == hashlib.sha256(content).hexdigest()
        said = json.loads(content)
        assert [len(said["inputs"]), len(said["outputs"])] == [4, 6]
    on.engine.dispose()


def test_the_orm_service_says_which_steps_made_and_used_an_artifact(tmp_path: Path) -> None:
    on = ground({"PEER_DATA": str(tmp_path)})
    client = TestClient(orm_service.application(on, _TOKEN))
    for number in (1, 65):  # the second uses what the first made
        assert (
            client.post("/v1/records", content=requests.record(number).body, headers=_HEADERS).status_code
            == 201
        )
    found = client.get(f"/v1/artifacts/sha256:{requests.digest(1, 0)}", headers=_HEADERS).json()
    assert [len(found["produced_by"]), len(found["consumed_by"])] == [1, 1]
    assert client.get("/v1/artifacts/sha256:" + "0" * 64, headers=_HEADERS).status_code == 404
    on.engine.dispose()


@pytest.mark.slow
def test_the_memory_of_a_command_is_that_of_all_its_processes() -> None:
    taken = peak([sys.executable, "-I", "-S", "-c", _BOTH], os.environ)
    assert taken >= 2 * _SIZE


@pytest.mark.slow
def test_a_command_that_fails_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        peak([sys.executable, "-c", "raise SystemExit(3)"], os.environ)
