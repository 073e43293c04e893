"""The examples do what they show."""

import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.storage.s3 import Access
from examples.demo.git_server import GitServer
from examples.demo.stage import Terminal, UnexpectedError
from tests.fakes.s3.server import BUCKET, SECRET_KEY, a_fake_s3
from tests.house.tree import ROOT
from tests.s3 import access_to

# Four by `custody run`, one with curl.
STEPS = 5
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path, {**QUIET, "HOME": str(tmp_path)})


@pytest.fixture
def server(terminal: Terminal, tmp_path: Path) -> Iterator[GitServer]:
    served = tmp_path / "served"
    terminal.ask("git", "init", "-q", "--bare", "-b", "main", str(served / "empty.git"))
    with GitServer(served) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.slow
def test_the_git_server_answers_a_clone(server: GitServer, terminal: Terminal, tmp_path: Path) -> None:
    terminal.ask("git", "clone", "-q", f"{server.url}/empty.git", "copy")
    assert (tmp_path / "copy/.git").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/absent.git/info/refs?service=git-upload-pack", "/../empty.git/HEAD"])
def test_the_git_server_knows_only_what_it_serves(server: GitServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(server.url + path)  # noqa: S310 - a loopback address of this test
    with caught.value as refusal:
        assert b"ref:" not in refusal.read()


@pytest.mark.slow
def test_the_git_server_takes_no_push(server: GitServer, terminal: Terminal) -> None:
    terminal.ask("git", "clone", "-q", f"{server.url}/empty.git", "copy")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.invalid")
    copy = terminal.at(terminal.place / "copy")
    copy.ask("git", *author, "commit", "-q", "--allow-empty", "-m", "nothing")
    with pytest.raises(UnexpectedError):
        copy.ask("git", "push", "-q", "origin", "HEAD:main")


def test_a_surprise_stops_the_demonstration(terminal: Terminal) -> None:
    with pytest.raises(UnexpectedError, match="exited with 0 where 3 was expected"):
        terminal.run(sys.executable, "-c", "pass", status=3)


def demonstrated(home: Path, **settings: str) -> str:
    """Run the demonstration as a reader would, in `home`; give what it said if it ended well."""
    misleading = {"CUSTODY_URL": "http://127.0.0.1:9", "CUSTODY_PIN": "nobody"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, **misleading, **settings, "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything above was checked" in done.stdout
    return done.stdout


def bucket_of(access: Access) -> dict[str, str]:
    """What a reader sets to keep the objects of the demonstration in that bucket."""
    settings = {
        "CUSTODY_STORE_URL": f"s3://{access.bucket}/demo",
        "CUSTODY_S3_ENDPOINT": access.endpoint,
        "CUSTODY_S3_ACCESS_KEY": access.access_key,
        "CUSTODY_S3_SECRET_KEY": access.secret_key,
    }
    return {name: value for name, value in settings.items() if value is not None}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demonstration_ends_well(tmp_path: Path) -> None:
    assert "SQLite and a directory" in demonstrated(tmp_path, CUSTODY_STORE_URL="")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demonstration_runs_over_a_bucket_with_one_variable_changed(tmp_path: Path) -> None:
    with a_fake_s3() as fake:
        told = demonstrated(tmp_path, **bucket_of(access_to(fake)))
        kept = sorted(fake.shelf.objects)
    assert f"the object store s3://{BUCKET}/demo" in told
    assert SECRET_KEY not in told
    for folder in ("blobs", "trees", "layouts", "records", "receipts/tree"):
        assert any(name.startswith(f"demo/projects/default/{folder}/") for name in kept), folder
    assert sum(name.startswith("demo/attestations/") for name in kept) == STEPS


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demonstration_runs_over_a_real_s3_server(tmp_path: Path, real_bucket: Access) -> None:
    settings = bucket_of(real_bucket)
    assert f"the object store {settings['CUSTODY_STORE_URL']}" in demonstrated(tmp_path, **settings)
