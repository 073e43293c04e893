"""Killed at every call that reaches the disk or the network, a step is kept whole or not, and arrives once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from custody.bodies import Content
from custody.ids import new_ulid
from custody.spool.draft import Draft
from custody.spool.entry import read_entry
from custody.spool.location import Spool
from tests.running_service import Running

# The interpreter tells an audit hook of each of these before it is done.
KILLING = """
import os, signal, sys
WATCHED = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "os.scandir",
           "fcntl.flock", "http.client.connect", "http.client.send", "shutil.rmtree"}
place, left = os.environ["KILL_BELOW"], int(os.environ["KILL_AT"])
def watch(event, arguments):
    global left
    if event not in WATCHED:
        return
    if event == "open" and not str(arguments[0]).startswith(place):
        return
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""
FLUSH = KILLING + "from custody.__main__ import main\nsys.addaudithook(watch)\nsys.exit(main(['flush']))"
COMMIT = (
    KILLING
    + """
from pathlib import Path
from tests.client.spool.test_kills import keep_one
from custody.spool.location import Spool
sys.addaudithook(watch)
keep_one(Spool(Path(place)), 'http://127.0.0.1:1', os.environ['KILL_STEP'], b'first')
"""
)
ROOT = Path(__file__).resolve().parents[3]


def content_of(written: bytes) -> tuple[Content, str]:
    return Content(len(written), lambda: io.BytesIO(written)), hashlib.sha256(written).hexdigest()


def keep_one(spool: Spool, service: str, step: str, made: bytes) -> None:
    """Put a step with two outputs into the spool."""
    body = {"id": step, "token_sha256": hashlib.sha256(step.encode()).hexdigest(), "name": "kept"}
    draft = Draft(spool, service, body, {"name": "killed"})
    draft.add_inputs([{"name": "in", "digest": {"sha256": hashlib.sha256(b"in").hexdigest()}}])
    for name, written, role in (("out", made, "output"), ("log", made + b" log", "byproduct")):
        content, sha256 = content_of(written)
        draft.keep(name, content, sha256, role=role, uri=None)
    draft.commit({"outcome": "succeeded", "exit_status": 0})


def killed_at(script: str, number: int, **settings: str) -> int:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**kept, **settings, "KILL_AT": str(number)},
        capture_output=True,
        check=False,
        timeout=60,
    ).returncode


def test_a_step_is_in_the_spool_whole_or_not_at_all(tmp_path: Path) -> None:
    number, outcomes = 0, set()
    while True:
        number += 1
        spool = Spool(tmp_path / str(number))
        step = new_ulid()
        code = killed_at(COMMIT, number, KILL_BELOW=str(spool.root), KILL_STEP=step)
        waiting = spool.waiting()
        outcomes.add((code, bool(waiting)))
        for id_ in waiting:
            entry = read_entry(spool.entries / id_)
            for one in entry.outputs:
                found = (spool.entries / id_ / one.sha256).read_bytes()
                assert hashlib.sha256(found).hexdigest() == one.sha256
        # What was left half written goes with the next step that is kept.
        keep_one(spool, "http://127.0.0.1:1", new_ulid(), b"next")
        assert len(spool.waiting()) == len(waiting) + 1
        assert list(spool.incoming.iterdir()) == []
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert number > 10
    assert {(0, True), (-9, False), (-9, True)} <= outcomes


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path / "service")
    found.start()
    try:
        found.wait_ready()
        yield found
    finally:
        found.stop()


@pytest.mark.slow
def test_a_killed_flush_loses_nothing_and_delivers_nothing_twice(running: Running, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    url = f"http://127.0.0.1:{running.port}"
    settings = {
        "CUSTODY_URL": url,
        "CUSTODY_TOKEN": running.token,
        "CUSTODY_SPOOL": str(spool.root),
        "KILL_BELOW": str(spool.root),
    }
    number = 0
    while True:
        number += 1
        step, made = new_ulid(), os.urandom(32)
        keep_one(spool, url, step, made)
        code = killed_at(FLUSH, number, **settings)
        assert killed_at(FLUSH, 0, **settings) == 0
        assert spool.waiting() == []
        assert list(spool.refused.iterdir()) == []
        answer = running.ask("GET", f"/v1/artifacts/sha256:{hashlib.sha256(made).hexdigest()}")
        assert [one["id"] for one in json.loads(answer[1])["produced_by"]] == [step]
        page = json.loads(running.ask("GET", f"/v1/steps/{step}")[1])
        assert (page["outcome"], page["state"] == "open") == ("succeeded", False)
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert number > 20
