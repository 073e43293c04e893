"""The guide of docs/operating.md, once through: a copy of the index, five minutes of work, a copy of the bucket, and back."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.commands import main
from api.parts import assemble
from artifacts.db import connect
from artifacts.errors import EvidenceError
from artifacts.queries import tokens
from artifacts.queries.tokens import TokenRow
from artifacts.storage.directory import DirectoryStore
from artifacts.tokens import Tokens
from provenance.reindex.ahead import Ahead
from tests.attacks.actors import an_id, begin, built, finish, put
from tests.postgres import Cluster, _binary
from tests.reindex.corpus import Corpus, answers, left_unsigned, recorded
from tests.service import PUBLIC_URL, TOKENS, Service, sha256

_LAG_SECONDS = 300
_LATE, _LEAKED = "cpt_of_the_five_minutes", "cpt_leaked"


def copy_of_the_index(service: Service, index: str | None, request: pytest.FixtureRequest) -> Path:
    """Copy the index while the service lives, as the guide says."""
    copy = service.folder / "copy-of-the-index"
    if index is None:
        live = sqlite3.connect(service.folder / "data" / "index" / "custody.db")
        with sqlite3.connect(copy) as target:
            live.backup(target)
        target.close()
        live.close()
        return copy
    cluster: Cluster = request.getfixturevalue("postgres")
    command = [_binary("pg_dump", cluster.folder), "--format=custom", f"--file={copy}"]
    run(cluster, command, _name(index))
    return copy


def index_from(copy: Path, folder: Path, request: pytest.FixtureRequest, *, postgres: bool) -> str:
    """Put the copy of the index back, and give its URL."""
    if not postgres:
        (folder / "index").mkdir()
        shutil.copy(copy, folder / "index" / "custody.db")
        return f"sqlite+aiosqlite:///{folder / 'index' / 'custody.db'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    name = cluster.empty()
    request.addfinalizer(lambda: cluster.drop(name))
    run(cluster, [_binary("pg_restore", cluster.folder), "--exit-on-error", f"--dbname={name}"], str(copy))
    return cluster.url(name)


def run(cluster: Cluster, command: list[str], last: str) -> None:
    where = [f"--host={cluster.folder}", "--port=5432", "--username=custody"]
    done = subprocess.run([*command, *where, last], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _name(url: str) -> str:
    return url.rpartition("?")[0].rpartition("/")[2]


def restored(service: Service) -> Path:
    """A new machine: the copy of the bucket, and the keys that were kept apart from it."""
    folder = service.folder / "new-machine"
    folder.mkdir(mode=0o700)
    shutil.copytree(service.folder / "data" / "objects", folder / "objects")
    shutil.copytree(service.folder / "keys", folder / "keys")
    (folder / "keys" / "local.pem").rename(folder / "keys" / "local-v1.pem")
    shutil.copy(service.folder / "data" / "seal.key", folder / "seal.key")
    return folder


@asynccontextmanager
async def running_again(service: Service, folder: Path, url: str) -> AsyncIterator[Service]:
    """The service of the new machine."""
    database, store = connect(url), DirectoryStore(folder / "objects")
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=database,
        store=store,
        clock=service.clock,
        seal=service.seal,
    )
    try:
        yield replace(service, parts=parts, store=store)
    finally:
        await database.close()
        store.close()


async def checked(service: Service) -> None:
    """What a signer does first."""
    ahead = Ahead(service.database, service.store, service.signer.public_key, service.seal)
    await ahead.check(now=service.clock.now())


async def five_minutes(service: Service, corpus: Corpus, revoked: TokenRow) -> None:
    """A new token and one that is revoked, a step that succeeds and one that fails, a blob, a step nobody signs."""
    service.clock.advance(_LAG_SECONDS)
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    await issuing.issue(TokenRow(an_id(), "default", "late"), digest=tokens.hashed(_LATE))
    await issuing.revoke(revoked.project, revoked.id)
    async with service.client(_LATE) as client:
        made = await built(service, client, b"made in the five minutes")
        failed = await begin(client)
        corpus.digests.add(await put(client, failed, "log", b"failed in the five minutes"))
        await finish(client, failed, "failed")
        blob = await client.post("/v1/blobs/uploads", content=b"only a blob")
        assert blob.status_code == 201
    corpus.digests |= {f"sha256:{sha256(b'made in the five minutes')}", blob.json()["digest"]}
    await service.read_back()
    await service.sign()
    await left_unsigned(service, corpus)
    corpus.urls += [made.url, failed.url, corpus.unsigned]


async def statuses(service: Service) -> dict[str, int]:
    """What each token is answered."""
    told = {}
    for secret in (TOKENS["default"], _LATE, _LEAKED):
        async with service.client(secret) as client:
            told[secret] = (await client.get("/v1/artifacts?name=x")).status_code
    return told


@pytest.mark.both_databases
async def test_nothing_that_was_acknowledged_is_lost_where_the_index_is_five_minutes_older_than_the_bucket(
    service: Service,
    index: str | None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = await recorded(service)
    leaked = TokenRow(an_id(), "default", "leaked")
    issuing = Tokens(service.database, service.store, service.clock, service.seal)
    await issuing.issue(leaked, digest=tokens.hashed(_LEAKED))
    copy = await asyncio.to_thread(copy_of_the_index, service, index, request)
    await five_minutes(service, corpus, leaked)
    before = await answers(service, corpus)
    folder = await asyncio.to_thread(restored, service)

    url = await asyncio.to_thread(index_from, copy, folder, request, postgres=index is not None)
    async with running_again(service, folder, url) as again:
        with pytest.raises(EvidenceError, match="older than the bucket"):
            await checked(again)
    monkeypatch.setenv("CUSTODY_DATABASE_URL", url)
    capsys.readouterr()
    words = ["reindex", "--data", str(folder), "--public-url", PUBLIC_URL, "--json"]
    assert await asyncio.to_thread(main, words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["clean"] is True
    assert report["records_without_statement"] == [f"default/{corpus.unsigned.rpartition('/')[2]}"]

    async with running_again(service, folder, url) as again:
        await checked(again)
        assert await answers(again, corpus) == before
        assert await statuses(again) == {TOKENS["default"]: 200, _LATE: 200, _LEAKED: 401}
        # The command went by the real clock, and what it queued is due from then on.
        again.clock.moment = max(again.clock.moment, datetime.now(UTC) + timedelta(seconds=1))
        await again.sign()
        async with again.client() as client:
            assert (await client.get(corpus.unsigned)).json()["state"] == "signed"
