"""Each process on PostgreSQL with the role it is meant to have: all works, and nothing beyond it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
import sqlalchemy as sa

from api.parts import assemble
from artifacts.db import alter, connect
from artifacts.tables import metadata
from migrations.roles import PROCESSES, WRITES, differences, grant
from tests.attacks.actors import begin, finish, put
from tests.attacks.remains import query
from tests.postgres import Cluster
from tests.service import PUBLIC_URL, Service, a_service, reference, sha256

pytestmark = pytest.mark.slow


@pytest.fixture
async def processes(tmp_path: Path, postgres: Cluster) -> AsyncIterator[dict[str, Service]]:
    """The api, the signer and the worker of one service, each logged in as its own role."""
    name = postgres.migrated()
    await alter(postgres.url(name), grant)
    await alter(postgres.url(name), grant)
    for process in PROCESSES:
        postgres.execute(
            f"DROP ROLE IF EXISTS login_{process}",
            f"CREATE ROLE login_{process} LOGIN IN ROLE custody_{process}",
        )
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(a_service(tmp_path, index=postgres.url(name)))
        built = {"owner": owner}
        for process in PROCESSES:
            database = connect(postgres.url(name, role=f"login_{process}"))
            stack.push_async_callback(database.close)
            parts = assemble(
                public_url=PUBLIC_URL,
                hosts=owner.parts.hosts,
                database=database,
                store=owner.store,
                clock=owner.clock,
            )
            built[process] = dataclasses.replace(owner, parts=parts)
        yield built
    postgres.drop(name)
    for process in PROCESSES:
        postgres.execute(f"DROP ROLE login_{process}")


async def test_every_process_does_its_work_with_its_own_role(processes: dict[str, Service]) -> None:
    worker, signer = processes["worker"], processes["signer"]
    async with processes["api"].client() as client:
        body = {"name": "x", "outcome": "succeeded", "outputs": [reference(b"x", name="x")]}
        assert (await client.post("/v1/records", json=body)).status_code == 201
        step = await begin(client, source=reference(b"source", uri="https://example.com/s"))
        await put(client, step, "x", b"an output")
        more = {"inputs": [reference(b"x", name="x")]}
        assert (await client.post(f"{step.url}/inputs", json=more)).status_code == 200
        await finish(client, step)
        run = await client.post("/v1/runs", json={}, headers={"Idempotency-Key": "k"})
        assert run.status_code == 201
        left = await begin(client)
        await worker.read_back()
        processes["owner"].clock.advance(200_000)
        await worker.upkeep.tidy()
        await signer.sign()
        for one in (step, left):
            page = (await client.get(one.url)).json()
            assert page["state"] == "signed", page
            assert len(page["attestations"]) == 1


async def test_the_api_takes_bytes_again_that_no_worker_has_read_back(
    processes: dict[str, Service],
) -> None:
    content = b"sent three times"
    async with processes["api"].client() as client:
        assert (await client.post("/v1/blobs/uploads", content=content)).status_code == 201
        again = await client.post("/v1/blobs/uploads", content=content)
        assert again.status_code == 200, again.text
        blobs = processes["owner"].folder / "data" / "objects" / "projects" / "default" / "blobs"
        path = next(blobs.rglob(sha256(content)))
        path.chmod(0o600)
        path.write_bytes(b"damaged")
        mended = await client.post("/v1/blobs/uploads", content=content)
        assert mended.status_code == 200, mended.text
        assert path.read_bytes() == content
        assert await processes["worker"].read_back() == 1


async def test_the_api_cannot_change_what_is_sealed_nor_write_attestations(
    processes: dict[str, Service], postgres: Cluster
) -> None:
    async with processes["api"].client() as client:
        step = await begin(client)
        await finish(client, step)
    await processes["signer"].sign()
    url = (processes["owner"].folder / "data" / "index" / "url").read_text()
    attempts = {
        "api": [
            "UPDATE step SET outcome = 'failed'",
            "DELETE FROM step",
            "DELETE FROM attestation",
            "INSERT INTO attestation SELECT * FROM attestation",
            "INSERT INTO attestation_subject SELECT * FROM attestation_subject",
            "UPDATE token SET revoked_at = NULL",
            "INSERT INTO token SELECT * FROM token",
            "UPDATE receipt SET size = 1",
            "CREATE TABLE mine (id int)",
            "DROP TRIGGER custody_sealed ON step",
        ],
        "worker": ["UPDATE step SET outcome = 'failed'", "INSERT INTO attestation SELECT * FROM attestation"],
        "signer": [
            "DELETE FROM step",
            "INSERT INTO receipt SELECT * FROM receipt",
            "UPDATE attestation SET keyid = 'x'",
        ],
    }
    before = query(processes["owner"].folder / "data", "SELECT * FROM step")
    for process, statements in attempts.items():
        login = url.replace("custody@", f"login_{process}@").replace("postgresql+asyncpg", "postgresql")
        connection = await asyncpg.connect(login)
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()
    assert query(processes["owner"].folder / "data", "SELECT * FROM step") == before


@pytest.mark.parametrize("process", PROCESSES)
async def test_what_a_role_may_is_compared_with_what_its_process_does(
    processes: dict[str, Service], postgres: Cluster, process: str
) -> None:
    url = (processes["owner"].folder / "data" / "index" / "url").read_text()
    found: dict[str, list[str]] = {}

    def compare(who: str) -> object:
        def look(connection: sa.Connection) -> None:
            found[who] = differences(connection, process)

        return look

    for who in (process, "owner"):
        login = url if who == "owner" else url.replace("custody@", f"login_{who}@")
        await alter(login, compare(who))  # type: ignore[arg-type]  # a function of a connection
    assert found[process] == []
    assert "may DELETE attestation" in found["owner"]


def test_every_table_that_a_process_writes_is_there() -> None:
    for process in PROCESSES:
        assert set(WRITES[process]) <= set(metadata.tables)
