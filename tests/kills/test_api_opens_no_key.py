"""The api process never opens the folder of the signing key (promise 6), whatever it is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.running_service import ROOT, Running
from tests.service import reference, sha256


@cache
def traces() -> bool:
    """Whether strace can be used here."""
    found = shutil.which("strace")
    if found is None:
        return False
    tried = subprocess.run([found, "-f", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


# Where ptrace is not allowed the same is asked of Python itself: every `open` is an audit event.
_AUDITED = """
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(event, arguments):
    if event in {"open", "os.listdir", "os.scandir", "os.chmod", "os.link", "os.rename"}:
        os.write(log, (repr(arguments)[:500] + "\\n").encode())
sys.addaudithook(note)
import runpy
sys.argv = ["api.commands", *sys.argv[2:]]
runpy.run_module("api.commands", run_name="__main__", alter_sys=True)
"""


@contextmanager
def started(name: str, running: Running, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """One of the three processes by itself; with `log`, everything it opens is written there."""
    options = [name, "--data", str(running.folder)]
    options += [] if name == "worker" else ["--listen", f"127.0.0.1:{running.port}"]
    command = [sys.executable, "-m", "api.commands", *options]
    if log is not None and traces():
        command = ["strace", "-f", "-qq", "-y", "-e", "trace=%file,openat2", "-o", str(log), *command]
    elif log is not None:
        command = [sys.executable, "-c", _AUDITED, str(log), *options]
    child = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield child
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(20)


@pytest.mark.slow
def test_the_api_opens_no_key_under_real_traffic(tmp_path: Path) -> None:
    running = Running(tmp_path / "data")
    log = tmp_path / "opened"
    prepared = [sys.executable, "-c", "import asyncio, sys; from pathlib import Path\n" + _PREPARE]
    subprocess.run([*prepared, str(running.folder)], cwd=ROOT, check=True)
    with started("signer", running), started("worker", running), started("api", running, log):
        running.wait_ready()
        _ask_everything(running)
        time.sleep(0.2)
    opened = log.read_text(errors="replace")
    assert str(running.folder / "objects") in opened, "the trace has seen nothing"
    touched = [
        line for line in opened.splitlines() if re.search(r"/keys(/|\"|'|>)|\.pem\b|\bkeys/local", line)
    ]
    # Public keys are objects under control/keys/, relative to the store.
    assert [line for line in touched if "control/keys" not in line] == []
    assert (running.folder / "keys" / "local-v1.pem").exists()
    assert "openat" in opened or not traces()


_PREPARE = """
from api.preparing import prepare
from api.settings import Settings
asyncio.run(prepare(Settings(data=Path(sys.argv[1]))))
"""


def _ask_everything(running: Running) -> None:
    _, content = running.ask("GET", "/openapi.json")
    id_, digest = "01M80000000000000000000000", f"sha256:{sha256(b'x')}"
    begun = {"id": id_, "token_sha256": sha256(b"t"), "name": "x"}
    assert running.ask("POST", "/v1/steps", begun)[0] == 201
    assert running.ask("PUT", f"/v1/steps/{id_}/outputs/x", b"x")[0] == 201
    assert running.ask("POST", f"/v1/steps/{id_}/finish?wait=10", {"outcome": "succeeded"})[0] == 200
    whole = {"name": "y", "outcome": "failed", "outputs": [reference(b"y", name="y")]}
    assert running.ask("POST", "/v1/records", whole)[0] == 201
    for path, methods in json.loads(content)["paths"].items():
        url = path.replace("{step_id}", id_).replace("{digest}", digest)
        for name in ("x", "..%2f..%2fkeys%2flocal-v1.pem", "%2e%2e/keys/local-v1.pem"):
            for method in methods:
                status, answer = running.ask(method.upper(), url.replace("{name}", name), {})
                assert status < 500, (method, path, answer)
