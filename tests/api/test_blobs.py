"""Bytes in and out over HTTP."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import httpx2
import pytest

from artifacts.layout import Key
from tests.service import Service, sha256

pytestmark = pytest.mark.both_databases

CONTENT = b"0123456789" * 1000
DIGEST = f"sha256:{sha256(CONTENT)}"
URL = f"/v1/blobs/{DIGEST}"


def content_digest(content: bytes) -> dict[str, str]:
    """The header that declares `content`."""
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


async def test_a_blob_is_new_once_and_no_longer_missing(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/blobs/missing", json={"digests": [DIGEST]})).json() == {
        "missing": [DIGEST]
    }
    first = await client.post("/v1/blobs/uploads", content=CONTENT, headers=content_digest(CONTENT))
    again = await client.post("/v1/blobs/uploads", content=CONTENT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == {"digest": DIGEST, "size": len(CONTENT)}
    assert (await client.post("/v1/blobs/missing", json={"digests": [DIGEST]})).json() == {"missing": []}


async def test_a_blob_is_served_whole_with_what_a_reader_needs(client: httpx2.AsyncClient) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    got = await client.get(URL)
    assert (got.status_code, got.content) == (200, CONTENT)
    assert got.headers["etag"] == f'"{DIGEST}"'
    assert got.headers["cache-control"] == "private, immutable, max-age=31536000"
    assert got.headers["repr-digest"] == content_digest(CONTENT)["Content-Digest"]
    assert got.headers["content-disposition"] == "attachment"
    assert got.headers["x-content-type-options"] == "nosniff"
    head = await client.head(URL)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(CONTENT)))
    assert (await client.get(URL, headers={"If-None-Match": f'"{DIGEST}"'})).status_code == 304


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=9990-", 9990, 10_000),
        ("bytes=-5", 9995, 10_000),
        ("bytes=5-99999", 5, 10_000),
    ],
)
async def test_a_range_is_a_slice(client: httpx2.AsyncClient, asked: str, start: int, end: int) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    got = await client.get(URL, headers={"Range": asked})
    assert (got.status_code, got.content) == (206, CONTENT[start:end])
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


@pytest.mark.parametrize("asked", ["bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "", "bytes=9-1x"])
async def test_a_range_that_is_none_gives_everything(client: httpx2.AsyncClient, asked: str) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    assert (await client.get(URL, headers={"Range": asked})).content == CONTENT


@pytest.mark.parametrize("asked", ["bytes=10000-", "bytes=9-1"])
async def test_a_range_beyond_the_end_is_refused(client: httpx2.AsyncClient, asked: str) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    got = await client.get(URL, headers={"Range": asked})
    assert (got.status_code, got.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_an_empty_blob_can_be_stored_and_served(client: httpx2.AsyncClient) -> None:
    stored = await client.post("/v1/blobs/uploads", content=b"")
    got = await client.get(f"/v1/blobs/{stored.json()['digest']}")
    assert (stored.status_code, got.status_code, got.content) == (201, 200, b"")


def where(service: Service) -> Path:
    """The file of `CONTENT`."""
    return next(Path(service.folder, "data/objects/projects/default/blobs").rglob(sha256(CONTENT)))


async def test_damaged_bytes_are_never_served_to_the_end(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    path = where(service)
    path.chmod(0o600)
    path.write_bytes(CONTENT[:-1] + b"X")
    # A range that asks for everything is no way around the check.
    for headers in ({}, {"Range": "bytes=0-"}):
        got = await client.get(URL, headers=headers)
        assert got.content != CONTENT[:-1] + b"X"
        assert len(got.content) < len(CONTENT)


async def test_the_worker_reads_back_what_was_stored_and_says_when_it_is_damaged(
    service: Service, client: httpx2.AsyncClient
) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    await client.post("/v1/blobs/uploads", content=b"good")
    path = where(service)
    path.chmod(0o600)
    path.write_bytes(b"bad")
    assert await service.read_back() == 2
    receipts = [str(one.key) async for one in service.store.list("projects/default/receipts/worker/")]
    contents = {key[-69:-5]: await service.store.read(layout_key(key)) for key in receipts}
    assert b'"found"' in contents[sha256(CONTENT)]
    assert b'"found"' not in contents[sha256(b"good")]


def layout_key(text: str) -> Key:
    """A key as the store takes it."""

    return Key(text)


@pytest.mark.parametrize("damage", [b"bad", CONTENT[:-1] + b"X"])
async def test_good_bytes_take_the_place_of_damaged_ones(
    service: Service, client: httpx2.AsyncClient, damage: bytes
) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    path = where(service)
    path.chmod(0o600)
    path.write_bytes(damage)
    await service.read_back()
    assert (await client.post("/v1/blobs/uploads", content=CONTENT)).status_code == 200
    assert (await client.get(URL)).content == CONTENT
    assert await service.read_back() == 1
    receipts = [one.key async for one in service.store.list("projects/default/receipts/worker/")]
    assert [b'"found"' in await service.store.read(key) for key in receipts] == [False]


async def test_bytes_that_are_gone_get_no_receipt(service: Service, client: httpx2.AsyncClient) -> None:
    await client.post("/v1/blobs/uploads", content=CONTENT)
    where(service).unlink()
    assert await service.read_back() == 1
    assert [one async for one in service.store.list("projects/default/receipts/worker/")] == []


@pytest.mark.parametrize("header", ["", "sha-256=abc", "sha-256=:abc:", "sha-512=:AAAA:", "sha-256=:!!!!:"])
async def test_a_content_digest_without_a_sha256_is_refused(client: httpx2.AsyncClient, header: str) -> None:
    got = await client.post("/v1/blobs/uploads", content=b"x", headers={"Content-Digest": header})
    assert (got.status_code, got.json()["type"].split("#")[1]) == (422, "invalid-digest")
