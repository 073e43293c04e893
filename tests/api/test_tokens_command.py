"""`custody-server tokens`: issued once, listed without secrets, refused everywhere once revoked."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest

from api.commands import main
from api.parts import assemble
from artifacts.db import connect
from artifacts.queries import tokens as queries
from artifacts.tokens import Tokens
from tests.attacks.actors import begin
from tests.reindex.corpus import journal_tokens, reindex
from tests.service import PUBLIC_URL, TOKENS, Service

_PAGE = "/v1/artifacts/sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def _index_of_the_command(index: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if index is not None:
        monkeypatch.setenv("CUSTODY_DATABASE_URL", index)


async def command(service: Service, *words: str) -> int:
    """The command, as beside a running service."""
    return await asyncio.to_thread(main, ["tokens", *words, "--data", str(service.folder / "data")])


async def status(service: Service, secret: str) -> int:
    async with service.client(secret) as client:
        return (await client.get(_PAGE)).status_code


def a_second_api(service: Service, index: str | None) -> Service:
    """A second api over the same index and objects."""
    url = index or f"sqlite+aiosqlite:///{service.folder / 'data' / 'index' / 'custody.db'}"
    parts = assemble(
        public_url=PUBLIC_URL,
        hosts=service.parts.hosts,
        database=connect(url),
        store=service.store,
        clock=service.clock,
    )
    return dataclasses.replace(service, parts=parts)


@pytest.mark.both_databases
async def test_a_token_that_is_revoked_is_refused_at_once_by_every_process_and_after_a_reindex(
    service: Service, fresh: Service, index: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    await journal_tokens(service)
    assert await command(service, "new", "--project", "default", "--label", "ci") == 0
    told = capsys.readouterr()
    secret = told.out.strip()
    id_ = told.err.split()[1]
    assert secret not in told.err
    other = a_second_api(service, index)
    for process in (service, other):
        assert await status(process, secret) == 404
    assert await command(service, "revoke", id_) == 0
    for process in (service, other):
        assert await status(process, secret) == 401
        assert await status(process, TOKENS["default"]) == 404
    await other.database.close()
    await reindex(fresh)
    assert await status(fresh, secret) == 401
    assert await status(fresh, TOKENS["default"]) == 404


@pytest.mark.both_databases
async def test_what_a_revoked_token_began_cannot_be_added_to_any_more(
    service: Service, index: str | None
) -> None:
    async with service.client() as client:
        step = await begin(client)
    async with service.client(TOKENS["other"]) as neighbour:
        theirs = await begin(neighbour)
    async with service.client(step.token) as own:
        assert (await own.put(f"{step.url}/outputs/x", content=b"x")).status_code == 201
    async with service.database.reading() as connection:
        mine = await queries.find_token(connection, queries.hashed(TOKENS["default"]))
    assert mine is not None
    await Tokens(service.database, service.store, service.clock, service.seal).revoke("default", mine.id)
    async with service.client(step.token) as own:
        assert (await own.put(f"{step.url}/outputs/y", content=b"y")).status_code == 401
        assert (await own.post(f"{step.url}/finish", json={"outcome": "succeeded"})).status_code == 401
    async with service.client(theirs.token) as own:
        assert (await own.put(f"{theirs.url}/outputs/x", content=b"x")).status_code == 201


async def test_the_list_has_every_token_and_no_secret(
    service: Service, capsys: pytest.CaptureFixture[str], index: None
) -> None:
    assert await command(service, "new", "--project", "third", "--label", "nightly", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert await status(service, made["token"]) == 404
    capsys.readouterr()
    assert await command(service, "revoke", made["id"], "--json") == 0
    assert json.loads(capsys.readouterr().out)["before"] is False
    assert await command(service, "list", "--json") == 0
    shown = capsys.readouterr().out
    assert made["token"] not in shown
    listed = json.loads(shown)["tokens"]
    assert [one["project"] for one in listed] == ["default", "other", "third"]
    assert [one["revoked_at"] is None for one in listed] == [True, True, False]
    assert await command(service, "list", "--project", "third") == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{made['id']}  third  ")
    assert line.endswith("  nightly\n")
    assert "  revoked 20" in line
    assert await command(service, "list", "--project", "default") == 0
    assert "  valid  test\n" in capsys.readouterr().out


async def test_revoking_again_is_no_error_and_writes_nothing(
    service: Service, capsys: pytest.CaptureFixture[str], index: None
) -> None:
    assert await command(service, "new") == 0
    id_ = capsys.readouterr().err.split()[1]
    assert await command(service, "revoke", id_) == 0
    before = journal_of(service)
    assert await command(service, "revoke", id_) == 0
    assert "was revoked" in capsys.readouterr().out
    assert journal_of(service) == before


async def test_an_id_that_nobody_has_is_nothing_found(
    service: Service, capsys: pytest.CaptureFixture[str], index: None
) -> None:
    assert await command(service, "revoke", "01K9\x1b[31m") == 3
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "tokens list" in told


async def test_without_the_seal_key_of_the_service_nothing_is_issued(
    service: Service, capsys: pytest.CaptureFixture[str], index: None
) -> None:
    (service.folder / "data" / "seal.key").unlink()
    assert await command(service, "new") == 4
    told = capsys.readouterr()
    assert "CUSTODY_SEAL_KEY_FILE" in told.err
    assert told.out == ""
    assert not (service.folder / "data" / "seal.key").exists()
    assert journal_of(service) == set()


@pytest.mark.parametrize("words", [["--project", "No Project"], ["--label", "a\nb"], ["--label", "x" * 101]])
async def test_a_project_or_label_that_cannot_be_is_misuse(
    service: Service, words: list[str], index: None
) -> None:
    with pytest.raises(SystemExit) as ended:
        await command(service, "new", *words)
    assert ended.value.code == 2


def journal_of(service: Service) -> set[Path]:
    return set((service.folder / "data" / "objects").rglob("journal/**/*.ndjson"))
