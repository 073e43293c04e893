"""A second real S3 server for tests, by other hands than Ceph's: VersityGW over a folder.

It is built from its module by Go, where Go is present, and kept in the user's cache, so that
it is built once per version and machine. `python -m tests.versity` does that ahead of time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from artifacts.storage.s3 import Access

VERSION = "v1.8.0"
"""The only place that names it; Apache-2.0, 80 MB built."""
_MODULE = "github.com/versity/versitygw/cmd/versitygw"
_KEYS = ("custody-test", "custody-test-secret")
_BUILD_SECONDS = 1800


class NotBuiltError(Exception):
    """There is no such server on this machine, for the reason that this says."""


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "custody-tests" / f"versitygw-{VERSION}"


def binary() -> Path:
    """The server; built now unless it was before.

    Raises:
        NotBuiltError: there is no Go, or it could not build it.
    """
    go = shutil.which("go")
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / "versitygw"
    # Several processes of one test run ask for it at once.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            if go is None:
                raise NotBuiltError("there is no Go")
            _build(go, folder)
    return built


def _build(go: str, folder: Path) -> None:
    command = [go, "install", f"{_MODULE}@{VERSION}"]
    into = {**os.environ, "GOBIN": str(folder), "GOFLAGS": ""}
    try:
        done = subprocess.run(
            command, env=into, cwd=folder, text=True, capture_output=True, check=False, timeout=_BUILD_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise NotBuiltError(f"building took longer than {_BUILD_SECONDS} s") from error
    if done.returncode:
        raise NotBuiltError(done.stderr.strip()[-500:])


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _answering(port: int, server: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return True
        time.sleep(0.05)
    return False


def _check_attributes(folder: Path) -> None:
    try:
        os.setxattr(folder, "user.custody", b"x")
    except OSError as error:
        raise NotBuiltError(f"{folder} takes no extended attributes") from error


@contextlib.contextmanager
def a_versity_gateway(folder: Path) -> Iterator[Access]:
    """Start it over `folder`; give how to reach it. There is no bucket yet.

    Raises:
        NotBuiltError: see `binary`.
    """
    program = binary()
    _check_attributes(folder)
    objects, versions = folder / "objects", folder / "versions"
    for place in (objects, versions):
        place.mkdir(parents=True)
    port = _free_port()
    listening = ("--port", f"127.0.0.1:{port}", "--quiet")
    command = [str(program), *listening, "posix", "--versioning-dir", str(versions), str(objects)]
    keys = {"ROOT_ACCESS_KEY": _KEYS[0], "ROOT_SECRET_KEY": _KEYS[1]}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log)
        try:
            if not _answering(port, server):
                raise RuntimeError((folder / "log").read_text()[-500:])
            endpoint = f"http://127.0.0.1:{port}"
            yield Access("custody-test", endpoint, endpoint, access_key=_KEYS[0], secret_key=_KEYS[1])
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    try:
        print(f"versitygw {VERSION}: {binary()}")
    except NotBuiltError as error:
        print(f"WARNING: no versitygw {VERSION}, its tests will be skipped: {error}", file=sys.stderr)
