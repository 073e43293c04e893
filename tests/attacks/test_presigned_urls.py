"""URLs of the object store: one key, one length, a few minutes, and in no log (threats S16)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from artifacts import layout
from artifacts.digest import Digest
from tests.fakes.s3.server import FakeS3, a_fake_s3
from tests.s3 import store_over
from tests.service import a_service

CONTENT = b"x" * 1000


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[tuple[FakeS3, str]]:
    """A fake S3 and the URL that an announcement was answered with."""
    with a_fake_s3() as fake:
        store = store_over(fake)
        async with a_service(tmp_path, kept_in=store) as service, service.client() as client:
            body = {"size": len(CONTENT), "digest": str(Digest.of(CONTENT))}
            answer = await client.post("/v1/blobs/uploads?resumable=1", json=body)
            assert answer.headers["cache-control"] == "no-store"
            await client.get(f"/v1/blobs/uploads/{answer.json()['upload']}")
            yield fake, answer.json()["parts"][0]["url"]
        store.close()


async def test_a_url_writes_to_staging_and_lives_five_minutes(told: tuple[FakeS3, str]) -> None:
    _, url = told
    asked = parse_qs(urlsplit(url).query)
    assert "/staging/" in urlsplit(url).path
    assert int(asked["X-Amz-Expires"][0]) <= 300
    assert "content-length" in asked["X-Amz-SignedHeaders"][0].split(";")


async def test_a_url_takes_one_key_one_length_and_no_other_method(told: tuple[FakeS3, str]) -> None:
    fake, url = told
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.put(url, content=CONTENT + b"y")).status_code == 403
        assert (await stranger.put(url.replace("-00001", "-00002"), content=CONTENT)).status_code == 403
        elsewhere = url.replace("/staging/", "/projects/")
        assert (await stranger.put(elsewhere, content=CONTENT)).status_code == 403
        for method in ("GET", "DELETE", "HEAD", "POST"):
            assert (await stranger.request(method, url)).status_code == 403
        copied = await stranger.put(url, content=CONTENT, headers={"x-amz-copy-source": "/custody-test/k"})
        assert copied.status_code == 403
    assert fake.shelf.objects == {}


async def test_a_url_is_worth_nothing_after_its_time(told: tuple[FakeS3, str]) -> None:
    fake, url = told
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.put(url, content=CONTENT)).status_code == 200
        fake.now = lambda: datetime.now(UTC) + timedelta(seconds=301)
        assert (await stranger.put(url, content=CONTENT)).status_code == 403


async def test_no_log_has_a_signature(
    told: tuple[FakeS3, str], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _, url = told
    logged = "".join(capfd.readouterr()) + caplog.text
    assert "X-Amz-Signature" not in logged
    assert parse_qs(urlsplit(url).query)["X-Amz-Signature"][0] not in logged


async def test_a_url_to_read_names_one_object_as_an_attachment() -> None:
    with a_fake_s3() as fake:
        store = store_over(fake)
        key, other = layout.blob("default", Digest.of(CONTENT)), layout.blob("other", Digest.of(CONTENT))
        await store.put(key, CONTENT)
        await store.put(other, CONTENT)
        url = store.presign_get(key, seconds=10_000)
        assert url is not None
        assert int(parse_qs(urlsplit(url).query)["X-Amz-Expires"][0]) == 300
        async with httpx2.AsyncClient() as reader:
            answer = await reader.get(url)
            assert (answer.content, answer.headers["content-disposition"]) == (CONTENT, "attachment")
            assert (await reader.get(url.replace("/default/", "/other/"))).status_code == 403
        store.close()
