"""Resumable uploads over both kinds of store: parts in, one checked blob out."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from artifacts.identifiers import new_ulid
from artifacts.limits import STAGING_SECONDS, UPLOAD_PART_BYTES
from tests.fakes.s3.server import a_fake_s3
from tests.s3 import store_over
from tests.service import Service, a_service

pytestmark = pytest.mark.both_databases

MIB = 1 << 20
SMALL = b"a few bytes"


@pytest.fixture(params=["directory", "s3"])
async def service(
    tmp_path: Path, request: pytest.FixtureRequest, index: str | None
) -> AsyncIterator[Service]:
    """A service over each store; the one over S3 hands out URLs."""
    if request.param == "directory":
        async with a_service(tmp_path, index=index) as built:
            yield built
        return
    with a_fake_s3() as fake:
        store = store_over(fake)
        async with a_service(tmp_path, kept_in=store, index=index) as built:
            yield built
        store.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client() as made:
        yield made


async def announce(client: httpx2.AsyncClient, content: bytes, **other: object) -> dict[str, object]:
    body = {"size": len(content), "digest": f"sha256:{hashlib.sha256(content).hexdigest()}", **other}
    answer = await client.post("/v1/blobs/uploads?resumable=1", json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, object] = answer.json()
    return told


async def send(client: httpx2.AsyncClient, told: dict[str, object], content: bytes) -> None:
    """Send every part the way the answer asks for."""
    urls = {part["number"]: part["url"] for part in told.get("parts") or []}  # type: ignore[attr-defined]  # JSON has no types
    for number, start in enumerate(range(0, max(1, len(content)), UPLOAD_PART_BYTES), 1):
        piece = content[start : start + UPLOAD_PART_BYTES]
        if urls:
            async with httpx2.AsyncClient() as outside:
                answer = await outside.put(urls[number], content=piece)
                assert answer.status_code == 200, answer.text
        else:
            answer = await client.put(f"/v1/blobs/uploads/{told['upload']}/parts/{number}", content=piece)
            assert answer.status_code == 201, answer.text


async def complete(client: httpx2.AsyncClient, told: dict[str, object]) -> httpx2.Response:
    return await client.post(f"/v1/blobs/uploads/{told['upload']}/complete")


async def left(service: Service) -> list[str]:
    """Whatever is in the two places of unfinished work."""
    places = [service.store.list("staging/"), service.store.list("joined/")]
    return [str(one.key) for place in places async for one in place]


async def test_a_small_upload_is_there_when_complete_answers(
    service: Service, client: httpx2.AsyncClient
) -> None:
    told = await announce(client, SMALL)
    await send(client, told, SMALL)
    answer = await complete(client, told)
    assert (answer.status_code, answer.json()["state"]) == (200, "present")
    fetched = await client.get(f"/v1/blobs/{answer.json()['digest']}")
    assert fetched.content == SMALL
    assert await left(service) == []


@pytest.mark.parametrize("size", [2 * MIB, UPLOAD_PART_BYTES, UPLOAD_PART_BYTES + 5])
async def test_a_large_upload_is_there_when_the_worker_has_read_it(
    service: Service, client: httpx2.AsyncClient, size: int
) -> None:
    content = secrets.token_bytes(size)
    told = await announce(client, content)
    await send(client, told, content)
    answer = await complete(client, told)
    assert (answer.status_code, answer.json()["state"]) == (202, "checking")
    assert (await client.get(f"/v1/blobs/{told['digest']}")).status_code == 404
    assert await service.join_uploads() == 1
    answer = await complete(client, told)
    assert (answer.status_code, answer.json()["state"]) == (200, "present")
    assert (await client.get(f"/v1/blobs/{told['digest']}")).content == content
    assert await left(service) == []
    receipt = await service.store.read(layout.receipt("default", Digest.of(content), "worker"))
    assert b'"kind":"worker"' in receipt


async def test_what_somebody_laid_beside_the_parts_is_no_part(
    service: Service, client: httpx2.AsyncClient
) -> None:
    told = await announce(client, SMALL)
    for name in ("readme", "1", "000001", "99999"):
        await service.store.put(layout.Key(f"{layout.parts(str(told['upload']))}{name}"), SMALL)
    looked = await client.get(f"/v1/blobs/uploads/{told['upload']}")
    assert looked.status_code == 200
    assert (await complete(client, told)).status_code == 409
    await send(client, told, SMALL)
    assert (await complete(client, told)).json()["state"] == "present"


async def test_other_bytes_than_announced_are_refused_for_ever(
    service: Service, client: httpx2.AsyncClient
) -> None:
    told = await announce(client, SMALL)
    await send(client, told, SMALL.upper())
    for _ in range(2):
        answer = await complete(client, told)
        assert (answer.status_code, answer.json()["type"].partition("#")[2]) == (422, "digest-mismatch")
    assert (await client.get(f"/v1/blobs/{told['digest']}")).status_code == 404
    looked = (await client.get(f"/v1/blobs/uploads/{told['upload']}")).json()
    assert looked["state"] == "refused"
    again = await client.put(f"/v1/blobs/uploads/{told['upload']}/parts/1", content=SMALL)
    assert again.status_code == 409
    assert await left(service) == []


async def test_a_large_mismatch_is_refused_by_the_worker(
    service: Service, client: httpx2.AsyncClient
) -> None:
    content = secrets.token_bytes(3 * MIB)
    told = await announce(client, content)
    await send(client, told, content[::-1])
    assert (await complete(client, told)).status_code == 202
    await service.join_uploads()
    assert (await complete(client, told)).status_code == 422
    assert await service.store.size(layout.blob("default", Digest.of(content))) is None
    assert await left(service) == []


async def test_what_has_arrived_can_be_asked_and_the_rest_sent_later(client: httpx2.AsyncClient) -> None:
    content = secrets.token_bytes(UPLOAD_PART_BYTES + 100)
    told = await announce(client, content)
    path = f"/v1/blobs/uploads/{told['upload']}"
    await client.put(f"{path}/parts/2", content=content[UPLOAD_PART_BYTES:])
    looked = (await client.get(path)).json()
    assert (looked["received"], looked["state"], looked["part_size"]) == ([2], "open", UPLOAD_PART_BYTES)
    refused = await complete(client, told)
    assert (refused.status_code, refused.json()["missing"]) == (409, [1])
    repeated = await client.put(f"{path}/parts/2", content=content[UPLOAD_PART_BYTES:])
    assert repeated.status_code == 201


@pytest.mark.parametrize(
    ("number", "piece", "status"),
    [(0, b"", 422), (2, b"x", 422), (1, SMALL[:-1], 422), (1, SMALL + b"x", 413)],
)
async def test_a_part_that_does_not_fit_is_refused(
    service: Service, client: httpx2.AsyncClient, number: int, piece: bytes, status: int
) -> None:
    told = await announce(client, SMALL)
    answer = await client.put(f"/v1/blobs/uploads/{told['upload']}/parts/{number}", content=piece)
    assert answer.status_code == status
    assert await left(service) == []


async def test_a_part_with_another_digest_than_declared_is_refused(
    service: Service, client: httpx2.AsyncClient
) -> None:
    told = await announce(client, SMALL)
    declared = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = await client.put(
        f"/v1/blobs/uploads/{told['upload']}/parts/1",
        content=SMALL,
        headers={"Content-Digest": f"sha-256=:{declared}:"},
    )
    assert answer.status_code == 422
    assert await left(service) == []


async def test_another_project_sees_no_upload(service: Service, client: httpx2.AsyncClient) -> None:
    told = await announce(client, SMALL)
    await send(client, told, SMALL)
    async with service.client("cpt_other") as stranger:
        path = f"/v1/blobs/uploads/{told['upload']}"
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.post(f"{path}/complete")).status_code == 404
        assert (await stranger.put(f"{path}/parts/1", content=SMALL)).status_code == 404
    await complete(client, told)
    async with service.client("cpt_other") as stranger:
        assert (await stranger.get(f"/v1/blobs/{told['digest']}")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"size": -1, "digest": "sha256:" + "0" * 64},
        {"size": 1, "digest": "sha256:00"},
        {"size": 1, "digest": "sha512:" + "0" * 128},
        {"size": 2**40, "digest": "sha256:" + "0" * 64},
        {"size": 1},
        {"size": "1", "digest": "sha256:" + "0" * 64},
        {"size": 1, "digest": "sha256:" + "0" * 64, "more": 1},
    ],
)
async def test_an_announcement_that_means_nothing_is_refused(
    client: httpx2.AsyncClient, body: dict[str, object]
) -> None:
    answer = await client.post("/v1/blobs/uploads?resumable=1", json=body)
    assert answer.status_code == 422


async def test_uploads_that_nobody_finished_are_swept_and_others_are_not(
    service: Service, client: httpx2.AsyncClient
) -> None:
    service.clock.moment = datetime.now(UTC)
    stale = await announce(client, SMALL)
    await send(client, stale, SMALL)
    checking = await announce(client, bytes(2 * MIB))
    await send(client, checking, bytes(2 * MIB))
    await complete(client, checking)
    service.clock.advance(STAGING_SECONDS + 60)
    await service.upkeep.tidy()
    assert (await client.get(f"/v1/blobs/uploads/{stale['upload']}")).status_code == 404
    assert await left(service) == [f"staging/{checking['upload']}-00001"]
    await service.join_uploads()
    assert (await client.get(f"/v1/blobs/{checking['digest']}")).content == bytes(2 * MIB)


@pytest.mark.parametrize("damage", [b"damaged bits", SMALL[:-1] + b"X"])
async def test_an_upload_takes_the_place_of_damaged_bytes(
    service: Service, client: httpx2.AsyncClient, damage: bytes
) -> None:
    key = layout.blob("default", Digest.of(SMALL))
    await service.store.put(key, damage)
    told = await announce(client, SMALL)
    await send(client, told, SMALL)
    assert (await complete(client, told)).status_code == 202
    await service.join_uploads()
    assert (await complete(client, told)).status_code == 200
    assert (await client.get(f"/v1/blobs/{told['digest']}")).content == SMALL
    assert await left(service) == []


async def test_an_upload_to_where_no_object_can_lie_is_refused(tmp_path: Path, index: str | None) -> None:
    async with a_service(tmp_path, index=index) as service, service.client() as client:
        place = tmp_path / "data" / "objects" / str(layout.blob("default", Digest.of(SMALL)))
        (place / "a folder").mkdir(parents=True)
        told = await announce(client, SMALL)
        await send(client, told, SMALL)
        await complete(client, told)
        await service.join_uploads()
        refused = await complete(client, told)
        assert (refused.status_code, "no object" in refused.json()["detail"]) == (422, True)


async def finished(client: httpx2.AsyncClient, told: dict[str, object]) -> str:
    """A finished step that says it made what was announced."""
    step = new_ulid(datetime.now(UTC))
    body = {"id": step, "token_sha256": "0" * 64, "name": "build"}
    assert (await client.post("/v1/steps", json=body)).status_code == 201
    digest = str(told["digest"]).removeprefix("sha256:")
    output = {"name": "dist/large.bin", "digest": {"sha256": digest}}
    assert (await client.post(f"/v1/steps/{step}/outputs", json={"outputs": [output]})).status_code == 200
    answer = await client.post(f"/v1/steps/{step}/finish", json={"outcome": "succeeded"})
    assert answer.status_code == 202
    return step


async def sealed(client: httpx2.AsyncClient, step: str) -> tuple[str, str | None]:
    """The state of a step, and the newest reason in its ledger."""
    told = (await client.get(f"/v1/steps/{step}")).json()
    return told["state"], told["ledger"][-1].get("reason")


async def test_a_step_waits_sealed_for_bytes_that_are_still_checked(
    service: Service, client: httpx2.AsyncClient
) -> None:
    content = secrets.token_bytes(2 * MIB)
    told = await announce(client, content)
    await send(client, told, content)
    assert (await complete(client, told)).status_code == 202
    step = await finished(client, told)
    await service.sign()
    state, reason = await sealed(client, step)
    assert (state, str(reason).partition(":")[0]) == ("sealed", "awaiting bytes")
    await service.join_uploads()
    service.clock.advance(1)
    await service.sign()
    assert await sealed(client, step) == ("signed", None)


async def test_a_step_whose_own_upload_was_wrong_is_refused(
    service: Service, client: httpx2.AsyncClient
) -> None:
    earlier = await announce(client, SMALL)
    await send(client, earlier, SMALL.upper())
    await complete(client, earlier)
    service.clock.advance(1)
    content = secrets.token_bytes(2 * MIB)
    told = await announce(client, content)
    step = await finished(client, earlier)
    await service.sign()
    assert (await sealed(client, step))[0] == "signed", "an upload from before the step is not its own"
    step = await finished(client, told)
    again = await announce(client, content)
    await send(client, again, content[::-1])
    assert (await complete(client, again)).status_code == 202
    await service.join_uploads()
    await service.sign()
    assert (await sealed(client, step))[0] == "refused"


async def test_a_reader_who_asks_is_sent_to_the_store(service: Service, client: httpx2.AsyncClient) -> None:
    told = await announce(client, SMALL)
    await send(client, told, SMALL)
    await complete(client, told)
    path = f"/v1/blobs/{told['digest']}?redirect=1"
    answer = await client.get(path)
    if told.get("parts") is None:
        assert (answer.status_code, answer.content) == (200, SMALL)
        return
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-store")
    async with httpx2.AsyncClient() as outside:
        fetched = await outside.get(answer.headers["location"])
    assert (fetched.content, fetched.headers["content-disposition"]) == (SMALL, "attachment")
    assert (await client.get(path.partition("?")[0])).status_code == 200
    async with service.client("cpt_other") as stranger:
        assert (await stranger.get(path)).status_code == 404
