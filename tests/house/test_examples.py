"""The examples do what they show."""

import os
import re
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
from examples.demo.loss import delete_index
from examples.demo.service import Service
from examples.demo.stage import Terminal, UnexpectedError
from tests.fakes.s3.server import BUCKET, SECRET_KEY, a_fake_s3
from tests.house.tree import ROOT
from tests.postgres import Cluster
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
    """Run the demonstration; give what it said if it ended well."""
    done = run_demonstration(home, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything above was checked" in done.stdout
    return done.stdout


def run_demonstration(home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration as a reader would, in `home`."""
    misleading = {"CUSTODY_URL": "http://127.0.0.1:9", "CUSTODY_PIN": "nobody"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, **misleading, **settings, "HOME": str(home), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


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
    told = demonstrated(tmp_path, CUSTODY_STORE_URL="")
    assert "SQLite and a directory" in told
    assert_the_index_was_lost(told, "$ rm -r ")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_demonstration_runs_over_a_bucket_with_one_variable_changed(tmp_path: Path) -> None:
    with a_fake_s3() as fake:
        told = demonstrated(tmp_path, **bucket_of(access_to(fake)))
        kept = sorted(fake.shelf.objects)
    (own,) = set(re.findall(rf"the object store s3://{BUCKET}/(demo/[0-9a-f-]+)", told))
    assert SECRET_KEY not in told
    for folder in ("blobs", "trees", "layouts", "records", "receipts/tree"):
        assert any(name.startswith(f"{own}/projects/default/{folder}/") for name in kept), folder
    assert sum(name.startswith(f"{own}/attestations/") for name in kept) == STEPS
    assert all(name.startswith(own) for name in kept)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demonstration_runs_on_postgresql_and_a_real_s3_server(
    tmp_path: Path, real_bucket: Access, postgres: Cluster
) -> None:
    name = postgres.empty()
    settings = {**bucket_of(real_bucket), "CUSTODY_DATABASE_URL": postgres.url(name)}
    told = demonstrated(tmp_path, **settings)
    assert f"PostgreSQL and the object store {settings['CUSTODY_STORE_URL']}/" in told
    assert_the_index_was_lost(told, f'sql> DROP DATABASE "{name}";\nsql> CREATE DATABASE "{name}";\n')
    assert postgres.execute(TABLES, database=name) == []
    postgres.drop(name)


@pytest.mark.slow
def test_whoever_may_make_no_databases_has_the_schema_dropped(
    terminal: Terminal, postgres: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    name = postgres.empty()
    postgres.execute("CREATE ROLE demonstrator LOGIN", f"ALTER DATABASE {name} OWNER TO demonstrator")
    postgres.execute("CREATE TABLE lost (x int)", "ALTER TABLE lost OWNER TO demonstrator", database=name)
    settings = {"CUSTODY_DATABASE_URL": postgres.url(name, role="demonstrator")}
    delete_index(Service(terminal, terminal.place, settings))
    assert capsys.readouterr().out == "sql> DROP SCHEMA public CASCADE;\nsql> CREATE SCHEMA public;\n"
    assert postgres.execute(TABLES, database=name) == []
    postgres.drop(name)
    postgres.execute("DROP ROLE demonstrator")


@pytest.mark.slow
def test_a_database_that_holds_something_is_left_alone(tmp_path: Path, postgres: Cluster) -> None:
    name = postgres.empty()
    postgres.execute("CREATE TABLE mine (x int)", database=name)
    done = run_demonstration(tmp_path, CUSTODY_DATABASE_URL=postgres.url(name))
    assert done.returncode == 1
    assert "give it an empty one" in done.stdout
    assert postgres.execute(TABLES, database=name) == [("mine",)]
    postgres.drop(name)


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"


def assert_the_index_was_lost(told: str, how: str) -> None:
    """It was deleted that way in the middle, made again, and answered as before."""
    lost, reindexed, same = told.index(how), told.index("$ custody-server reindex"), told.index(SAME)
    assert told.index("$ custody trace") < lost < reindexed < same < told.index("Step 4")
    assert "left out" not in told


SAME = "are the same, byte for byte"
