"""What a service counts, where it shows it, and what it writes into its log."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from api.app import create_app
from api.measured_store import MeasuredStore
from api.metrics import ApiMetrics, LabourMetrics
from api.metrics_listener import shown
from artifacts.clock import to_milliseconds
from artifacts.digest import Digest
from artifacts.errors import InvalidInputError, UnavailableError
from artifacts.judging import Collected, Going
from artifacts.queries import queue
from artifacts.queries.queue import Job
from artifacts.queries.removals import Thing
from artifacts.storage.directory import DirectoryStore
from tests.attacks.actors import begin, built, finish
from tests.contracts.test_object_store import chunks
from tests.running_service import free_port
from tests.service import Service, sha256

JOB = Job(1, "default", "hash", "topic", 1, "owner")


def value(text: str, sample: str) -> float:
    """The value of a sample, written with its labels."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


@pytest.mark.both_databases
async def test_what_waits_and_since_when_is_shown(service: Service) -> None:
    async with service.client() as client:
        await built(service, client)
        step = await begin(client)
        await finish(client, step)
        service.clock.advance(7)
        text = (await client.get("/metrics")).text
        assert value(text, 'custody_queue_jobs{kind="sign"}') == 1
        assert value(text, 'custody_queue_jobs{kind="join"}') == 0
        assert value(text, 'custody_queue_oldest_seconds{kind="hash"}') == 7
        assert value(text, "custody_unsigned_oldest_seconds") == 7
        await service.sign()
        await service.read_back()
        text = (await client.get("/metrics")).text
        assert value(text, 'custody_queue_jobs{kind="hash"}') == 0
        assert value(text, 'custody_queue_oldest_seconds{kind="hash"}') == 0
        assert value(text, "custody_unsigned_oldest_seconds") == 0


async def test_a_step_that_is_put_off_again_and_again_waits_since_it_finished(service: Service) -> None:
    async with service.client() as client:
        step = await begin(client)
        await finish(client, step)
        now = to_milliseconds(service.clock.now())
        async with service.database.writing() as connection:
            (job,) = await queue.take(connection, "sign", owner="x", now=now, lease_ms=1000, limit=1)
            await queue.postpone(connection, job, until=now + 3_600_000)
        service.clock.advance(60)
        text = (await client.get("/metrics")).text
        assert value(text, "custody_unsigned_oldest_seconds") == 60
        assert value(text, 'custody_queue_oldest_seconds{kind="sign"}') == 0


async def test_requests_batches_and_the_build_are_counted(service: Service) -> None:
    app = create_app(service.parts, ApiMetrics())
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": "Bearer cpt_default"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://custody.test", headers=headers
    ) as client:
        body = {"name": "x", "outcome": "succeeded"}
        await asyncio.gather(*(client.post("/v1/records", json=body) for _ in range(5)))
        text = (await client.get("/metrics")).text
    assert value(text, 'custody_requests_total{method="POST",route="/v1/records",status="201"}') == 5
    assert value(text, 'custody_batch_members_total{of="decisions"}') == 5
    assert 1 <= value(text, 'custody_batches_total{of="decisions"}') <= 5
    assert value(text, "custody_requests_under_way") == 1
    assert value(text, 'custody_build_info{process="api",version="0.1.0"}') == 1


async def test_every_call_on_the_store_is_counted_with_how_it_ended(tmp_path: Path, service: Service) -> None:
    metrics = LabourMetrics("worker")
    directory = DirectoryStore(tmp_path / "objects")
    store = MeasuredStore(directory, metrics)
    from artifacts.layout import Key, staging

    at, key = service.clock.now(), Key("projects/x")
    await store.put(Key("projects/y"), b"12345")
    staged = await store.stage(chunks(b"123"), at=at, limit=10)
    await store.promote(staged, key)
    await store.replace(await store.stage(chunks(b"456"), at=at, limit=10), key)
    await store.discard(await store.stage(chunks(b"4"), at=at, limit=10))
    assert [piece async for piece in store.open(key)] == [b"456"]
    assert await store.read(key, start=1, length=1) == b"5"
    assert await store.size(key) == 3
    assert [str(one.key) async for one in store.list("projects/")] != []
    await store.discard(await store.assemble([key], at=at))
    await store.delete(key)
    assert await store.forget_unfinished(before=at) == 0
    assert store.presign_get(key, seconds=1) is None
    assert store.presign_put(staging("01K00000000000000000000000"), size=1, seconds=1) is None
    with pytest.raises(Exception, match="no such object"):
        await store.read(key)
    with pytest.raises(Exception, match="no such object"):
        _ = [piece async for piece in store.open(key)]
    text = metrics.text().decode()
    for operation in ("put", "promote", "replace", "size", "list", "assemble", "delete", "forget_unfinished"):
        assert value(text, f'custody_store_calls_total{{operation="{operation}",outcome="ok"}}') == 1
    assert value(text, 'custody_store_calls_total{operation="read",outcome="not-found"}') == 1
    assert value(text, 'custody_store_calls_total{operation="open",outcome="not-found"}') == 1
    assert value(text, 'custody_store_bytes_total{direction="written"}') == 5 + 3 + 3 + 1
    assert value(text, 'custody_store_bytes_total{direction="read"}') == 3 + 1 + 3
    directory.close()


async def test_a_job_is_counted_as_done_or_failed() -> None:
    metrics = LabourMetrics("worker")

    async def work(job: Job) -> None:
        if job.attempt > 1:
            raise UnavailableError("away")

    counted = metrics.counting("hash", work)
    await counted(JOB)
    with pytest.raises(UnavailableError):
        await counted(Job(1, "default", "hash", "topic", 2, "owner"))
    metrics.damaged()
    found = Collected()
    for size in (3, 4):
        thing = Thing("a-project", "blob", Digest.of(b"x"))
        found.add(Going(thing, size, "unnamed", None))
    metrics.collected(found)
    text = metrics.text().decode()
    assert value(text, 'custody_jobs_total{kind="hash",outcome="done"}') == 1
    assert value(text, 'custody_jobs_total{kind="hash",outcome="failed"}') == 1
    assert value(text, 'custody_job_seconds_count{kind="hash"}') == 1
    assert value(text, "custody_damage_found_total") == 1
    assert value(text, 'custody_collected_total{kind="blob",reason="unnamed"}') == 2
    assert value(text, 'custody_collected_bytes_total{kind="blob",reason="unnamed"}') == 7
    assert "a-project" not in text


async def test_damage_that_a_worker_reads_back_is_counted(service: Service) -> None:
    from artifacts.upkeep import Upkeep

    metrics = LabourMetrics("worker")
    upkeep = Upkeep(service.database, service.store, service.clock, service.seal, damaged=metrics.damaged)
    async with service.client() as client:
        for content in (b"good", b"to be damaged"):
            assert (await client.post("/v1/blobs/uploads", content=content)).status_code == 201
    path = next((service.folder / "data" / "objects").rglob(sha256(b"to be damaged")))
    path.chmod(0o600)
    path.write_bytes(b"damaged")
    await service._labour("hash", metrics.counting("hash", upkeep.read_back))
    text = metrics.text().decode()
    assert value(text, "custody_damage_found_total") == 1
    assert value(text, 'custody_jobs_total{kind="hash",outcome="done"}') == 2


async def asked(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if not request.endswith(b"\r\n\r\n"):
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_process_without_http_shows_its_metrics_where_it_is_told_to() -> None:
    port = free_port()
    async with shown(LabourMetrics("signer"), f"127.0.0.1:{port}"):
        answer = await asked(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b'custody_build_info{process="signer"' in answer
        assert (await asked(port, b"GET /healthz HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nok\n")
        head = await asked(port, b"HEAD /healthz HTTP/1.1\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert head.endswith(b"\r\n\r\n")
        assert (await asked(port, b"GET /v1/runs HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await asked(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert await asked(port, b"GET /metrics") == b""
        assert await asked(port, b"GET /" + b"x" * 20_000 + b"\r\n\r\n") == b""
        with pytest.raises(InvalidInputError, match="cannot listen"):
            async with shown(LabourMetrics("worker"), f"127.0.0.1:{port}"):
                pass
    with pytest.raises(OSError, match="Connect call failed"):
        await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")


async def test_without_an_address_nobody_listens() -> None:
    async with shown(LabourMetrics("worker"), None):
        pass


async def test_the_callers_trace_id_is_in_the_problem_and_in_the_log(service: Service) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await service.database.close()
    (service.folder / "data" / "index" / "custody.db").write_bytes(b"no database")
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    with capture_logs() as logged:
        async with service.client() as client:
            answer = await client.get("/v1/artifacts?name=x", headers=headers)
    assert answer.status_code >= 500
    assert answer.json()["trace_id"] == trace
    told = [one for one in logged if one["event"] == "request.answered"]
    assert [(one["trace_id"], one["log_level"]) for one in told] == [(trace, "warning")]


async def test_every_answer_tells_the_version_of_the_service(client: httpx2.AsyncClient) -> None:
    for path in ("/healthz", "/v1/artifacts?name=x", "/nothing"):
        assert (await client.get(path)).headers["custody-version"] == "0.1.0; oldest-client=0.1.0"


async def test_an_api_that_stops_says_that_it_is_not_ready(service: Service) -> None:
    app = create_app(service.parts)
    app.state.draining = True
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://custody.test") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["detail"]) == (503, "this api is stopping")
        assert (await client.get("/healthz")).status_code == 200
