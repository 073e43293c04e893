"""Nothing about a build breaks because the service is dead, slow, or dies on the way."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.client.conftest import Command


def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Wire:
    """Passes bytes on to the real service until it is cut."""

    def __init__(self, target: str, port: int = 0) -> None:
        parts = urlsplit(target)
        self._to = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        for end in self._open:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pump, args=(one, other), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := one.recv(65536):
                other.sendall(chunk)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextmanager
def wire(target: str) -> Iterator[Wire]:
    found = Wire(target)
    try:
        yield found
    finally:
        found.cut()


@pytest.mark.parametrize("status", [0, 3])
def test_without_a_service_the_command_runs_and_its_status_counts(
    offline: Command, place: Path, status: int
) -> None:
    url = f"http://127.0.0.1:{dead_port()}"
    before = time.monotonic()
    done = offline("run", "--", "sh", "-c", f"echo ran; touch made; exit {status}", CUSTODY_URL=url)
    assert time.monotonic() - before < 8
    assert (done.returncode, done.stdout) == (status, "ran\n")
    assert (place / "made").exists()
    assert "custody: warning:" in done.stderr
    assert "the record is kept on this machine" in done.stderr
    alone = offline("run", "--no-spool", "--", "sh", "-c", f"exit {status}", CUSTODY_URL=url)
    assert alone.returncode == status
    assert "without being recorded" in alone.stderr


def test_a_service_that_accepts_and_says_nothing_does_not_hold_the_build_for_ever(
    offline: Command, place: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        before = time.monotonic()
        done = offline("run", "--", "echo", "ran", CUSTODY_URL=url)
    assert done.returncode == 0
    assert done.stdout == "ran\n"
    assert time.monotonic() - before < 25


def test_with_require_nothing_runs_without_a_service(offline: Command, place: Path) -> None:
    url = f"http://127.0.0.1:{dead_port()}"
    done = offline("run", "--require", "--", "touch", "made", CUSTODY_URL=url)
    assert done.returncode == 4
    assert not (place / "made").exists()


def test_with_require_and_no_service_configured_it_is_a_misuse(offline: Command, place: Path) -> None:
    done = offline("run", "--require", "--", "touch", "made")
    assert done.returncode == 2
    assert not (place / "made").exists()
    assert offline("run", "--", "touch", "made").returncode == 0
    assert (place / "made").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("options", "status"), [([], 0), (["--require"], 4)])
def test_a_service_that_dies_under_the_command_is_a_warning_or_with_require_an_error(
    custody: Command, place: Path, options: list[str], status: int
) -> None:
    script = "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo made > made"
    with wire(custody.settings["CUSTODY_URL"]) as between:
        child = custody.begun("run", *options, "--", "sh", "-c", script, CUSTODY_URL=between.url)
        deadline = time.monotonic() + 20
        while not (place / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        between.cut()
        (place / "go").touch()
        _, err = child.communicate(timeout=90)
    assert child.returncode == status
    assert "custody  project default" in err
    assert "the record is kept on this machine" in err
    assert "kept    in the spool" in err
    assert (place / "made").read_text() == "made\n"


@pytest.mark.slow
def test_a_service_that_comes_back_in_time_gets_the_whole_record(custody: Command, place: Path) -> None:
    script = "touch begun; while [ ! -e go ]; do sleep 0.02; done; echo made > made"
    with wire(custody.settings["CUSTODY_URL"]) as between:
        child = custody.begun("run", "--require", "--", "sh", "-c", script, CUSTODY_URL=between.url)
        deadline = time.monotonic() + 20
        while not (place / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
    (place / "go").touch()
    time.sleep(1.5)
    again = Wire(custody.settings["CUSTODY_URL"], between.port)
    try:
        _, err = child.communicate(timeout=90)
    finally:
        again.cut()
    assert child.returncode == 0, err
    assert "signed  https://slsa.dev/provenance/v1" in err
    assert custody("verify", "made").returncode == 0


def test_the_other_commands_say_that_nothing_answers(offline: Command, place: Path) -> None:
    url = f"http://127.0.0.1:{dead_port()}"
    (place / "x").write_text("x")
    done = offline("put", "x", CUSTODY_URL=url)
    assert done.returncode == 4
    assert "does not answer" in done.stderr
