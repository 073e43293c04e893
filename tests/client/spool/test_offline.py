"""A service that is away costs nothing: the step waits on this machine and arrives once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import custody as package
from tests.client.conftest import Command
from tests.client.workbench import recorded
from tests.running_service import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A service that the test starts and kills."""
    found = Running(tmp_path / "service")
    found.start()
    try:
        found.wait_ready()
        yield found
    finally:
        found.stop()


def killed(running: Running) -> None:
    """Kill all of the service at once, as a power cut would."""
    assert running.serving is not None
    for pid in (running.serving.pid, *running.pids().values()):
        os.kill(pid, signal.SIGKILL)
    running.serving.wait(10)


def revived(running: Running) -> None:
    running.start()
    running.wait_ready()


@pytest.fixture
def away(running: Running, place: Path) -> Command:
    settings = {"CUSTODY_URL": f"http://127.0.0.1:{running.port}", "CUSTODY_TOKEN": running.token}
    return Command(place, settings)


def spool_of(place: Path) -> Path:
    return place.parent / "home" / ".local/state/custody/spool"


def steps_that_made(running: Running, content: bytes) -> list[dict[str, Any]]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    code, body = running.ask("GET", f"/v1/artifacts/{digest}")
    assert code in {200, 404}, body
    return json.loads(body)["produced_by"] if code == 200 else []


def signed(running: Running, step: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while True:
        page = json.loads(running.ask("GET", f"/v1/steps/{step}")[1])
        if page["state"] == "signed" or time.monotonic() > deadline:
            assert page["state"] == "signed", page
            found: dict[str, Any] = page
            return found
        time.sleep(0.1)


def test_a_step_without_a_service_is_kept_whole_and_delivered_later_once(
    running: Running, away: Command, place: Path
) -> None:
    (place / "in.txt").write_text("given")
    killed(running)
    done = away(
        "run", "--json", "--input", "in.txt", "--run", "nightly", "--", "sh", "-c", "echo hi; echo made > out"
    )
    assert done.returncode == 0, done.stderr
    assert "kept    in the spool; custody flush delivers it" in done.stderr
    assert "custody: warning:" in done.stderr
    summary = recorded(done)
    assert (summary["spooled"], summary["recorded"]) == (True, False)
    second = recorded(away("run", "--json", "--run", "nightly", "--", "sh", "-c", "echo more > out2; exit 3"))
    waiting = json.loads(away("flush", "--dry-run", "--json").stdout)["steps"]
    assert [one["id"] for one in waiting] == [summary["id"], second["id"]]
    assert away("flush").returncode == 4

    revived(running)
    flushed = away("flush", "--json")
    assert flushed.returncode == 0, flushed.stderr
    assert [one["state"] for one in json.loads(flushed.stdout)["steps"]] == ["delivered", "delivered"]
    page = signed(running, summary["id"])
    assert page["outcome"] == "succeeded"
    assert signed(running, second["id"])["outcome"] == "failed"
    assert signed(running, second["id"])["run"] == page["run"]
    (made,) = steps_that_made(running, b"made\n")
    assert made["id"] == summary["id"]
    assert len(steps_that_made(running, b"hi\n")) == 1
    again = away("flush", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, {"steps": []})
    assert list((spool_of(place) / "entries").iterdir()) == []


def test_nothing_in_the_spool_is_a_token_or_is_open_to_others(
    running: Running, away: Command, place: Path
) -> None:
    killed(running)
    done = away("run", "--give-token", "--", "sh", "-c", "echo $CUSTODY_TOKEN > kept-token; touch out")
    assert "kept    in the spool" in done.stderr
    step_token = (place / "kept-token").read_bytes().strip()
    assert step_token.startswith(b"cst_")
    for path in (place.parent / "home").rglob("*"):
        if spool_of(place) in path.parents and path.is_file():
            assert path.stat().st_mode & 0o077 == 0
            content = path.read_bytes()
            assert running.token.encode() not in content
            # The command itself printed it into an output; no file of ours has it.
            assert step_token not in content or path.name == hashlib.sha256(step_token + b"\n").hexdigest()
    assert spool_of(place).stat().st_mode & 0o777 == 0o700


def test_a_service_that_is_killed_under_the_command_gets_the_same_step_later(
    running: Running, away: Command, place: Path
) -> None:
    (place / "in.txt").write_text("given")
    script = "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo made > out"
    child = away.begun("run", "--json", "--input", "in.txt", "--", "sh", "-c", script)
    until_exists(place / "begun")
    killed(running)
    (place / "go").touch()
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert "kept    in the spool" in err
    step = json.loads(out.splitlines()[-1])["id"]
    revived(running)
    assert json.loads(running.ask("GET", f"/v1/steps/{step}")[1])["state"] == "open"
    assert away("flush").returncode == 0
    assert signed(running, step)["outcome"] == "succeeded"
    assert [one["id"] for one in steps_that_made(running, b"made\n")] == [step]
    (used,) = json.loads(
        running.ask("GET", "/v1/artifacts/sha256:" + hashlib.sha256(b"given").hexdigest())[1]
    )["consumed_by"]
    assert used["id"] == step


def test_a_step_that_the_service_gave_up_on_is_recorded_again_and_says_so(
    running: Running, away: Command, place: Path
) -> None:
    script = "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo made > out"
    child = away.begun("run", "--json", "--", "sh", "-c", script)
    until_exists(place / "begun")
    killed(running)
    (place / "go").touch()
    out, _ = child.communicate(timeout=120)
    step = json.loads(out.splitlines()[-1])["id"]
    revived(running)
    # What the service does to a step whose token expires.
    assert running.ask("POST", f"/v1/steps/{step}/finish", {"outcome": "unknown"})[0] in {200, 202}
    flushed = away("flush", "--json")
    assert flushed.returncode == 0, flushed.stderr
    (one,) = json.loads(flushed.stdout)["steps"]
    assert one["recorded_again"]
    assert one["step"] != step
    (made,) = steps_that_made(running, b"made\n")
    assert made["id"] == one["step"]
    pages = [json.loads(running.ask("GET", f"/v1/steps/{id_}")[1]) for id_ in (step, one["step"])]
    assert pages[0]["run"] == pages[1]["run"]
    assert [page["outcome"] for page in pages] == ["unknown", "succeeded"]


def test_two_flushes_at_once_deliver_each_step_once(running: Running, away: Command, place: Path) -> None:
    killed(running)
    for number in range(4):
        assert away("run", "--", "sh", "-c", f"echo {number} > out{number}").returncode == 0
    revived(running)
    both = [away.begun("flush", "--json") for _ in range(2)]
    printed = [json.loads(one.communicate(timeout=60)[0])["steps"] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    ids = [step["id"] for steps in printed for step in steps]
    assert len(ids) == len(set(ids)) == 4
    for number in range(4):
        assert len(steps_that_made(running, f"{number}\n".encode())) == 1


def test_what_is_refused_is_put_aside_with_the_reason(running: Running, away: Command, place: Path) -> None:
    killed(running)
    first = recorded(away("run", "--json", "--", "sh", "-c", "echo one > out1"))["id"]
    second = recorded(away("run", "--json", "--", "sh", "-c", "echo two > out2"))["id"]
    kept = spool_of(place) / "entries" / first / hashlib.sha256(b"one\n").hexdigest()
    kept.write_bytes(b"0ne\n")
    revived(running)
    assert away("flush", CUSTODY_TOKEN="cpt_wrong").returncode == 4
    assert len(list((spool_of(place) / "entries").iterdir())) == 2
    stopped = away("flush")
    assert stopped.returncode == 1
    assert "damaged" in stopped.stderr
    reason = json.loads((spool_of(place) / "refused" / first / "reason.json").read_text())
    assert "damaged" in reason["reason"]
    assert steps_that_made(running, b"0ne\n") == []
    assert away("flush").returncode == 0
    assert signed(running, second)["outcome"] == "succeeded"


def test_a_step_is_delivered_to_no_other_service(running: Running, away: Command, place: Path) -> None:
    killed(running)
    assert away("run", "--", "touch", "out", CUSTODY_URL="http://127.0.0.1:1").returncode == 0
    revived(running)
    done = away("flush")
    assert done.returncode == 1
    assert "it is for http://127.0.0.1:1" in done.stdout
    assert len(list((spool_of(place) / "entries").iterdir())) == 1


def test_a_full_spool_refuses_what_is_new_and_keeps_what_is_old(
    running: Running, away: Command, place: Path
) -> None:
    killed(running)
    kept = recorded(away("run", "--json", "--", "sh", "-c", "echo old > old"))
    done = away("run", "--json", "--", "sh", "-c", "head -c 100000 /dev/zero > new", CUSTODY_SPOOL_SIZE="50K")
    assert done.returncode == 0
    assert "the spool is full" in done.stderr
    assert not recorded(done)["spooled"]
    assert [one.name for one in (spool_of(place) / "entries").iterdir()] == [kept["id"]]
    assert list((spool_of(place) / "incoming").iterdir()) == []


def test_no_spool_and_no_service_configured_keep_nothing(
    running: Running, away: Command, offline: Command, place: Path
) -> None:
    killed(running)
    assert "without being recorded" in away("run", "--no-spool", "--", "touch", "a").stderr
    assert offline("run", "--", "touch", "b").returncode == 0
    assert not spool_of(place).exists()


def test_a_python_step_is_kept_too(
    running: Running,
    place: Path,
    away: Command,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    killed(running)
    monkeypatch.chdir(place)
    for name, value in away.environment().items():
        monkeypatch.setenv(name, value)
    with package.step("train") as step:
        step.params(epochs=3)
        step.output("model").write_text("weights")
    assert "kept on this machine" in capfd.readouterr().err
    revived(running)
    assert away("flush").returncode == 0
    assert [one["id"] for one in steps_that_made(running, b"weights")] == [step.id]


def test_a_directory_waits_too_and_is_a_tree_once_delivered(
    running: Running, away: Command, place: Path
) -> None:
    script = (
        "touch begun; while [ ! -e go ]; do sleep 0.02; done; mkdir -p d/e; echo made > d/e/f; ln -s f d/e/l"
    )
    child = away.begun("run", "--json", "--output", "d/", "--", "sh", "-c", script)
    until_exists(place / "begun")
    killed(running)
    (place / "go").touch()
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])
    assert summary["spooled"], err
    (kept,) = [one for one in summary["outputs"] if one["name"] == "d"]
    (place / "d/e/f").write_text("changed since")
    revived(running)
    flushed = away("flush")
    assert flushed.returncode == 0, flushed.stderr
    assert signed(running, summary["id"])["outcome"] == "succeeded"
    assert away("get", kept["digest"], "again").returncode == 0
    assert (place / "again/e/f").read_text() == "made\n"
    assert str((place / "again/e/l").readlink()) == "f"


def until_exists(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_steps_kept_at_the_same_time_do_not_disturb_each_other(
    running: Running, away: Command, place: Path
) -> None:
    killed(running)
    codes: list[int] = []
    runs = [
        threading.Thread(
            target=lambda n=n: codes.append(
                away("run", "--output", f"o{n}", "--", "sh", "-c", f"echo p{n} > o{n}").returncode
            )
        )
        for n in range(4)
    ]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert codes == [0] * 4
    revived(running)
    assert away("flush").returncode == 0
    assert [len(steps_that_made(running, f"p{n}\n".encode())) for n in range(4)] == [1] * 4
