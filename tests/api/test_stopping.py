"""Told to stop, a process finishes what is under way; told twice, it ends at once."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running_service import ROOT, Running, free_port, parsed

pytestmark = pytest.mark.slow
_HALF = b"a" * 500_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was served once, so that every process can be started by itself."""
    service = Running(tmp_path_factory.mktemp("served") / "data")
    service.start()
    try:
        service.wait_ready(60)
    finally:
        service.stop()
    return service.folder


@pytest.fixture
def running(served: Path, tmp_path: Path) -> Running:
    """A copy of that folder, and nothing that runs over it."""
    return Running(shutil.copytree(served, tmp_path / "data"))


@contextmanager
def one(running: Running, process: str, settings: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A single process over the folder, ended with the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    command = [sys.executable, "-m", "api.commands", process, "--data", str(running.folder)]
    if process == "api":
        command += ["--listen", f"127.0.0.1:{running.port}"]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


class Upload:
    """A request of which half was sent."""

    def __init__(self, running: Running) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        self.connection.putrequest("POST", "/v1/blobs/uploads")
        self.connection.putheader("Authorization", f"Bearer {running.token}")
        self.connection.putheader("Content-Length", str(2 * len(_HALF)))
        self.connection.endheaders()
        self.connection.send(_HALF)

    def complete(self) -> tuple[int, bytes]:
        """Send the rest; status and body of the answer."""
        self.connection.send(_HALF)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


def until(condition: object, seconds: float = 30) -> None:
    """Wait until `condition()` holds: it is another process that makes it so."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def under_way(running: Running) -> float:
    """Requests that the api has begun to answer, this one not counted."""
    _, text = running.ask("GET", "/metrics")
    (line,) = [one for one in text.decode().splitlines() if one.startswith("custody_requests_under_way ")]
    return float(line.split()[1]) - 1


def refuses(running: Running) -> bool:
    try:
        running.ask("GET", "/healthz")
    except OSError:
        return True
    return False


def test_a_request_under_way_is_finished_before_an_api_stops(running: Running) -> None:
    with one(running, "api", {}) as api:
        running.wait_ready(60)
        upload = Upload(running)
        until(lambda: under_way(running) == 1)
        api.send_signal(signal.SIGTERM)
        until(lambda: refuses(running))
        status, body = upload.complete()
        assert (status, parsed(body)["size"]) == (201, 2 * len(_HALF))
        assert api.wait(30) == -signal.SIGTERM
    stored = (running.folder / "objects" / "projects" / "default" / "blobs").rglob(parsed(body)["digest"][7:])
    assert [path.stat().st_size for path in stored] == [2 * len(_HALF)]


def test_an_api_that_drains_is_not_ready_and_still_takes_requests(running: Running) -> None:
    with one(running, "api", {"CUSTODY_DRAIN_SECONDS": "600"}) as api:
        running.wait_ready(60)
        api.send_signal(signal.SIGTERM)
        until(lambda: running.ask("GET", "/readyz")[0] == 503)
        assert running.ask("GET", "/healthz")[0] == 200
        assert running.ask("POST", "/v1/blobs/uploads", b"late")[0] == 201
        api.send_signal(signal.SIGTERM)
        assert api.wait(10) == -signal.SIGTERM


def test_a_second_signal_ends_an_api_with_a_request_under_way(running: Running) -> None:
    with one(running, "api", {}) as api:
        running.wait_ready(60)
        upload = Upload(running)
        until(lambda: under_way(running) == 1)
        api.send_signal(signal.SIGTERM)
        until(lambda: refuses(running))
        assert api.poll() is None
        api.send_signal(signal.SIGTERM)
        assert api.wait(5) == -signal.SIGTERM
        with pytest.raises(OSError):  # noqa: PT011  # reset or closed: either way there is no answer
            upload.complete()


@pytest.mark.parametrize("process", ["signer", "worker"])
def test_a_process_without_http_ends_with_status_0_and_says_until_then_that_it_lives(
    running: Running, process: str
) -> None:
    port = free_port()
    with one(running, process, {"CUSTODY_METRICS_LISTEN": f"127.0.0.1:{port}"}) as child:
        until(lambda: alive(port))
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    assert not alive(port)


def alive(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_serve_lets_a_request_finish_and_leaves_no_process(running: Running) -> None:
    running.start()
    running.wait_ready(60)
    upload = Upload(running)
    until(lambda: under_way(running) == 1)
    children = running.pids()
    assert running.serving is not None
    running.serving.send_signal(signal.SIGTERM)
    # A supervisor such as systemd tells every process of a group, and serve tells its own again.
    os.kill(children["api"], signal.SIGTERM)
    until(lambda: refuses(running))
    assert upload.complete()[0] == 201
    assert running.serving.wait(30) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())


def test_a_second_signal_ends_serve_and_its_children_at_once(running: Running) -> None:
    running.start()
    running.wait_ready(60)
    upload = Upload(running)
    until(lambda: under_way(running) == 1)
    children = running.pids()
    assert running.serving is not None
    running.serving.send_signal(signal.SIGTERM)
    until(lambda: refuses(running))
    assert running.serving.poll() is None
    running.serving.send_signal(signal.SIGTERM)
    assert running.serving.wait(5) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    with pytest.raises(OSError):  # noqa: PT011  # reset or closed: either way there is no answer
        upload.complete()
