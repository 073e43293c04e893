"""Ctrl-C while outputs are uploaded: the command's status stays, and the record waits on this machine."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.client.conftest import Command
from tests.client.stub import Reply, peer

pytestmark = pytest.mark.slow
SCRIPT = "echo hi; echo made > out; exit 3"


class Stalling:
    """A service that takes everything but the log, for which it lets one wait."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def __call__(self, path: str) -> Reply:
        if path.partition("?")[0].endswith("/outputs/log"):
            self.reached.set()
            self.released.wait(60)
            return Reply(drop=True)
        return Reply(body=json.dumps({"id": "01STEP", "state": "open", "recorded": 1}).encode())


def test_the_status_stays_and_the_record_is_kept(place: Path) -> None:
    stalling = Stalling()
    with peer(stalling) as there:
        custody = Command(place, {"CUSTODY_URL": there.url, "CUSTODY_TOKEN": "t"})
        running = custody.begun("run", "--", "sh", "-c", SCRIPT)
        assert stalling.reached.wait(60)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
        stalling.released.set()
        assert running.returncode == 3, complaints
        assert "interrupted; the record is kept on this machine" in complaints
        (waiting,) = json.loads(custody("flush", "--dry-run", "--json").stdout)["steps"]
    (entry,) = (place.parent / "home/.local/state/custody/spool/entries").iterdir()
    assert entry.name == waiting["id"]
    kept = json.loads((entry / "entry.json").read_text())
    assert kept["ending"]["exit_status"] == 3
    assert {one["name"]: (entry / one["sha256"]).read_bytes() for one in kept["outputs"]} == {
        "out": b"made\n",
        "log": b"hi\n",
    }


class StallingAtOne(Stalling):
    """As `Stalling`, at one of many outputs that it lacks, while the others arrive."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        super().__init__()
        digests = [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in contents]
        self.missing = Reply(body=json.dumps({"missing": digests}).encode())

    def __call__(self, path: str) -> Reply:
        if path == "/v1/blobs/missing":
            return self.missing
        return super().__call__(path.replace("/outputs/out7", "/outputs/log"))


def test_many_uploads_at_once_end_together(place: Path) -> None:
    contents = [f"{number}\n".encode() for number in range(40)]
    stalling = StallingAtOne(contents)
    script = "for i in $(seq 0 39); do echo $i > out$i; done; exit 3"
    with peer(stalling) as there:
        custody = Command(place, {"CUSTODY_URL": there.url, "CUSTODY_TOKEN": "t"})
        running = custody.begun("run", "--", "sh", "-c", script)
        assert stalling.reached.wait(60)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
        stalling.released.set()
        assert running.returncode == 3, complaints
        assert "interrupted; the record is kept on this machine" in complaints
    (entry,) = (place.parent / "home/.local/state/custody/spool/entries").iterdir()
    kept = json.loads((entry / "entry.json").read_text())
    assert {one["name"]: (entry / one["sha256"]).read_bytes() for one in kept["outputs"]} == {
        f"out{number}": content for number, content in enumerate(contents)
    }


def test_without_a_spool_the_status_stays_all_the_same(place: Path) -> None:
    stalling = Stalling()
    with peer(stalling) as there:
        custody = Command(place, {"CUSTODY_URL": there.url, "CUSTODY_TOKEN": "t"})
        running = custody.begun("run", "--no-spool", "--", "sh", "-c", SCRIPT)
        assert stalling.reached.wait(60)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
        stalling.released.set()
    assert running.returncode == 3
    assert "interrupted; the step was not recorded to its end" in complaints
    assert "Traceback" not in complaints


def test_a_command_runs_where_the_directory_is_gone(place: Path) -> None:
    custody = Command(place, {"CUSTODY_URL": "http://127.0.0.1:1", "CUSTODY_TOKEN": "t"})
    gone = place / "gone"
    for options, status, shown in (([], 3, "ran"), (["--require"], 1, ""), (["--dry-run"], 1, "")):
        gone.mkdir()
        script = f"rmdir {gone}; custody run {' '.join(options)} -- sh -c 'echo ran; exit 3'"
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=gone,
            env=custody.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert (done.returncode, done.stdout.strip()) == (status, shown), done.stderr
        assert "the working directory is gone" in done.stderr
