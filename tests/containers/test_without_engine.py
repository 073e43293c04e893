"""Everything that docker-compose.yml starts of ours, as plain processes: its commands, settings, roles and credentials.

In the place of the images stand the PostgreSQL of the tests, with passwords, and a fake S3 that
holds each identity to its policies. Not tested here is what only an engine does: users,
mounts, networks, capabilities.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from artifacts import layout
from artifacts.clock import SystemClock
from artifacts.digest import Digest
from artifacts.errors import UnavailableError
from artifacts.layout import Key
from artifacts.storage.rights import RIGHTS
from artifacts.storage.s3 import Access, Bucket
from artifacts.storage.s3_store import S3Store
from scripts.compose_secrets import BUCKET, identities, variables
from tests.attacks.actors import an_id
from tests.containers.compose import Compose, compose, filled
from tests.containers.guarded_s3 import GuardedS3, guarded
from tests.postgres import Cluster, _binary, a_cluster
from tests.running_service import ROOT, Running, free_port, parsed
from tests.service import sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
_HBA = "local all custody trust\nlocal all all scram-sha-256\n"


@dataclass
class Stack:
    """The services of the file, over a folder in the place of each volume."""

    folder: Path
    cluster: Cluster
    s3: GuardedS3
    secrets: dict[str, str]
    file: Compose = field(default_factory=compose)
    port: int = field(default_factory=free_port)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)

    def environment(self, name: str) -> dict[str, str]:
        """What the container is given, with the addresses of this machine."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUSTODY_", "PG"))}
        given = {
            key: self._here(filled(text, self.secrets))
            for key, text in self.file.services[name].environment.items()
        }
        if "CUSTODY_METRICS_LISTEN" in given:
            given["CUSTODY_METRICS_LISTEN"] = f"127.0.0.1:{self.ports.setdefault(name, free_port())}"
        if "CUSTODY_DATA" in given:
            volume = next(iter(self.file.services[name].mounts), "none")
            (self.folder / volume).mkdir(mode=0o700, exist_ok=True)
            given["CUSTODY_DATA"] = str(self.folder / volume)
        return {**kept, **given}

    def _here(self, text: str) -> str:
        text = re.sub(r"@postgres/(\w+)$", rf"@/\1?host={self.cluster.folder}&port=5432", text)
        text = text.replace("http://seaweedfs:8333", self.s3.endpoint)
        return re.sub(r"(127\.0\.0\.1|0\.0\.0\.0):8080", f"127.0.0.1:{self.port}", text)

    def run(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A service that ends, with its own command or with `words` in place of it."""
        given = list(words) or self.file.services[name].command or []
        return subprocess.run(
            [sys.executable, "-m", "api.commands", *given],
            cwd=ROOT,
            env=self.environment(name),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, name: str) -> None:
        """A service that stays, until it is healthy by its own check."""
        command = self.file.services[name].command or []
        with (self.folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "api.commands", *command],
                cwd=ROOT,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started.append(child)
        check = self.file.services[name].healthcheck
        assert check is not None
        program = check.test[-1].replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        program = program.replace("127.0.0.1:9100", f"127.0.0.1:{self.ports.get(name, 0)}")
        deadline = time.monotonic() + 60
        while subprocess.run(
            [sys.executable, "-c", program], stderr=subprocess.DEVNULL, check=False
        ).returncode:
            assert child.poll() is None, (self.folder / f"{name}.log").read_text()
            assert time.monotonic() < deadline, (self.folder / f"{name}.log").read_text()

    def log_in_made(self) -> None:
        """The service `logins`, with the psql of the wheel."""
        service = self.file.services["logins"]
        assert service.entrypoint is not None
        program, *flags = service.entrypoint
        script = ROOT / next(source for source, target in service.mounts.items() if target == "/logins.sql")
        words = [word.replace("/logins.sql", str(script)) for word in flags]
        environment = {**self.environment("logins"), "PGHOST": str(self.cluster.folder), "PGPORT": "5432"}
        done = subprocess.run(
            [_binary(program, self.cluster.folder), *words],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def stop(self) -> None:
        """End what was started."""
        for child in reversed(self.started):
            child.terminate()
        for child in self.started:
            child.wait(30)

    def store_of(self, name: str) -> S3Store:
        """The bucket with the credentials of one service."""
        access = Access(
            BUCKET,
            endpoint=self.s3.endpoint,
            access_key=self.secrets[f"S3_{name.upper()}_ACCESS_KEY"],
            secret_key=self.secrets[f"S3_{name.upper()}_SECRET_KEY"],
        )
        return S3Store(Bucket(access))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, started in the order of the file."""
    made = variables()
    with a_cluster() as cluster, guarded(BUCKET, identities(made)) as s3:
        cluster.execute("CREATE DATABASE custody TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        (cluster.folder / "data" / "pg_hba.conf").write_text(_HBA)
        cluster.execute("SELECT pg_reload_conf()")
        built = Stack(tmp_path_factory.mktemp("stack"), cluster, s3, made)
        try:
            for _ in range(2):  # each may be run again
                done = built.run("migrate")
                assert done.returncode == 0, done.stderr
                built.log_in_made()
            for name in ("signer", "api", "worker"):
                built.start(name)
            yield built
        finally:
            built.stop()


def client_of(stack: Stack) -> Running:
    """Whoever asks the api, with a token that the operator has just made."""
    issued = stack.run("operator", "tokens", "new", "--label", "mine")
    assert issued.returncode == 0, issued.stderr
    folder = stack.folder / "client"
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(issued.stdout)
    return Running(folder, port=stack.port)


def signed(running: Running, step: str) -> dict[str, Any]:
    status, body = running.ask("POST", f"/v1/steps/{step}/finish?wait=20", {"outcome": "succeeded"})
    assert (status, parsed(body)["state"]) == (200, "signed"), body
    return parsed(body)  # type: ignore[no-any-return]  # JSON has no types


def in_parts(running: Running, content: bytes) -> str:
    """Send in parts, which only a worker joins."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    status, body = running.ask(
        "POST", "/v1/blobs/uploads?resumable=1", {"size": len(content), "digest": digest}
    )
    assert status == 201, body
    told = parsed(body)
    for number in range(1, -(-len(content) // told["part_size"]) + 1):
        piece = content[(number - 1) * told["part_size"] : number * told["part_size"]]
        assert running.ask("PUT", f"/v1/blobs/uploads/{told['upload']}/parts/{number}", piece)[0] == 201
    status, body = running.ask("POST", f"/v1/blobs/uploads/{told['upload']}/complete?wait=20")
    assert (status, parsed(body)["state"]) == (200, "present"), body
    return digest


def test_every_process_does_its_work_with_what_it_is_given_and_is_refused_nothing(stack: Stack) -> None:
    running = client_of(stack)
    large = in_parts(running, os.urandom(17 << 20))
    step = an_id()
    begun = {"id": step, "token_sha256": "0" * 64, "name": "train"}
    assert running.ask("POST", "/v1/steps", begun)[0] == 201
    for name, content in (("dist/a", b"a"), ("dist/b", os.urandom(2 << 20))):
        assert running.ask("PUT", f"/v1/steps/{step}/outputs/{name}", content)[0] == 201
    assert running.ask("POST", f"/v1/steps/{step}/outputs/dist/tree")[0] == 201
    outputs = {"outputs": [{"name": "large", "digest": {"sha256": large[7:]}}]}
    assert running.ask("POST", f"/v1/steps/{step}/outputs", outputs)[0] == 200
    assert (
        running.ask("POST", "/v1/artifacts", {"digest": {"sha256": sha256(b"a")}, "uri": "pkg:x/a"})[0] == 201
    )
    (attestation,) = signed(running, step)["attestations"]
    assert running.ask("GET", f"/v1/attestations/{attestation['digest']}")[0] == 200
    assert [denied for denied in stack.s3.denied if denied[0] in RIGHTS] == []
    keys = parsed(running.ask("GET", "/.well-known/custody/keys.json")[1])["keys"]
    told = stack.run("signer", "env", "--json")
    assert json.loads(told.stdout) == {
        "CUSTODY_URL": f"http://127.0.0.1:{stack.port}",
        "CUSTODY_PIN": keys[-1]["keyid"],
        "CUSTODY_LOG_KEY": running.ask("GET", "/v1/log/key")[1].decode().strip(),
    }
    # The operator's folder has no key, and a bucket is believed by nobody.
    assert stack.run("operator", "env").returncode == 3


def test_bytes_that_were_damaged_are_mended_with_the_credentials_of_the_api(stack: Stack) -> None:
    running = client_of(stack)
    content = b"to be damaged"
    status, body = running.ask("POST", "/v1/blobs/uploads", content)
    assert status == 201
    (name,) = [key for key in stack.s3.shelf.objects if key.endswith(f"/{sha256(content)}")]
    receipt = str(layout.receipt("default", Digest.of(content), "worker"))
    wait_until(lambda: receipt in stack.s3.shelf.objects)
    stored = stack.s3.shelf.objects[name]
    stack.s3.shelf.objects[name] = type(stored)(
        b"damaged bytes", stored.etag, stored.changed_at, stored.headers
    )
    assert running.ask("POST", "/v1/blobs/uploads", content)[0] == 200
    assert running.ask("GET", f"/v1/blobs/{parsed(body)['digest']}") == (200, content)
    assert [denied for denied in stack.s3.denied if denied[0] in RIGHTS] == []


def wait_until(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("process", ["api", "signer", "worker"])
def test_the_login_of_a_process_may_do_what_it_does_and_no_more(stack: Stack, process: str) -> None:
    told = stack.run(process, "doctor", "--process", process, "--json")
    assert '"index_good": true' in told.stdout, told.stdout + told.stderr


def test_nobody_writes_in_the_place_of_another(stack: Stack) -> None:
    digest = Digest.of(b"x")
    refused = {
        "api": [
            layout.attestation(digest),
            layout.public_key(digest),
            layout.receipt("default", digest, "worker"),
            layout.receipt("default", digest, "tree"),
            layout.tree_layout("default", digest),
            layout.refusal("default", an_id(), digest),
            Key("log/tile/0/999"),
            Key("projects/default/cache/trusted/x"),
        ],
        "worker": [
            layout.attestation(digest),
            layout.public_key(digest),
            layout.refusal("default", an_id(), digest),
        ],
        "signer": [
            layout.blob("default", digest),
            layout.receipt("default", digest, "worker"),
            layout.journal("default", an_id(), digest, SystemClock().now()),
            layout.manifest("default", digest),
        ],
    }
    before = set(stack.s3.shelf.objects)
    for process, keys in refused.items():
        store = stack.store_of(process)
        for key in keys:
            assert_denied(store.put(key, b"x"), f"{process} put {key}")
        store.close()
    assert set(stack.s3.shelf.objects) == before


def test_nobody_removes_what_it_has_no_business_with(stack: Stack) -> None:
    digest = Digest.of(b"x")
    operator = stack.store_of("operator")
    kept = [
        layout.attestation(digest),
        layout.blob("default", digest),
        layout.receipt("default", digest, "api"),
    ]
    for key in kept:
        asyncio.run(operator.put(key, b"x"))
    for process, keys in {"api": kept, "signer": kept, "worker": kept[:1]}.items():
        store = stack.store_of(process)
        for key in keys:
            assert_denied(store.delete(key), f"{process} delete {key}")
        store.close()
    assert {str(key) for key in kept} <= set(stack.s3.shelf.objects)
    for key in kept:
        asyncio.run(operator.delete(key))
    operator.close()


def assert_denied(call: Coroutine[Any, Any, None], what: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        asyncio.run(call)
    assert "refuses the service" in refused.value.message, what
